// AVX512-VNNI: 16 positions a vector, exact 32-bit sums.
#include "core/kernels/block_kernel_loops.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>

#include "core/kernels/block_vectors_avx512vnni.h"

namespace cytopress {

const BlockKernel* Avx512VnniBlockKernel() {
  static constexpr BlockKernel kKernel = KernelOf<Avx512Vnni>("avx512vnni");
  return __builtin_cpu_supports("avx512vnni") ? &kKernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* Avx512VnniBlockKernel() { return nullptr; }

}  // namespace cytopress

#endif
