// AVX-VNNI, of CPUs without AVX-512: 8 positions a vector, exact 32-bit sums.
#include "core/kernels/block_kernel_loops.h"

// Clang can ask the CPU for it from version 16 on.
#if defined(__AVXVNNI__) && defined(__FMA__) && !(defined(__clang__) && __clang_major__ < 16)
#include <immintrin.h>

#include "core/kernels/block_vectors_avxvnni.h"

namespace cytopress {

const BlockKernel* AvxVnniBlockKernel() {
  static constexpr BlockKernel kKernel = KernelOf<AvxVnni>("avxvnni");
  return __builtin_cpu_supports("avxvnni") && __builtin_cpu_supports("fma") ? &kKernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* AvxVnniBlockKernel() { return nullptr; }

}  // namespace cytopress

#endif
