// AVX512-VNNI: 16 positions a vector, exact 32-bit sums.
#include "core/engine/block_kernel_loops.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>

#include "core/engine/block_vectors_avx512vnni.h"

namespace cytopress {

const BlockKernel* Avx512VnniBlockKernel() {
  static constexpr BlockKernel kKernel = {"avx512vnni",
                                          Avx512Vnni::kLanes,
                                          Avx512Vnni::kMostVectors,
                                          Avx512Vnni::kAlikeVectors,
                                          Avx512Vnni::kAddsIn16Bits,
                                          RunBlocks<Avx512Vnni>,
                                          TakeLargest<Avx512Vnni>,
                                          Gather<Avx512Vnni>,
                                          Copy<Avx512Vnni>};
  return __builtin_cpu_supports("avx512vnni") ? &kKernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* Avx512VnniBlockKernel() { return nullptr; }

}  // namespace cytopress

#endif
