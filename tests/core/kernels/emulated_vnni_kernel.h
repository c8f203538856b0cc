// The AVX512-VNNI kernel on any CPU: its source, compiled with SIMD Everywhere's functions in place
// of the instructions.
#ifndef CYTOPRESS_TESTS_CORE_KERNELS_EMULATED_VNNI_KERNEL_H_
#define CYTOPRESS_TESTS_CORE_KERNELS_EMULATED_VNNI_KERNEL_H_

#include "core/kernels/block_kernel.h"

namespace cytopress {

const BlockKernel& EmulatedVnniKernel();
// The same with matrices by plain loops, in place of AMX.
const BlockKernel& EmulatedAmxKernel();

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_KERNELS_EMULATED_VNNI_KERNEL_H_
