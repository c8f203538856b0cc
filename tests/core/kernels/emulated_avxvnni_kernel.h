// The AVX-VNNI kernel on CPUs with AVX2 only: its source, compiled with a function in place of the
// one instruction that they lack.
#ifndef CYTOPRESS_TESTS_CORE_KERNELS_EMULATED_AVXVNNI_KERNEL_H_
#define CYTOPRESS_TESTS_CORE_KERNELS_EMULATED_AVXVNNI_KERNEL_H_

#include "core/kernels/block_kernel.h"

namespace cytopress {

// Null where this CPU or the compiler has no AVX2.
const BlockKernel* EmulatedAvxVnniKernel();

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_KERNELS_EMULATED_AVXVNNI_KERNEL_H_
