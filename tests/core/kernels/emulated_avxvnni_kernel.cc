#include "tests/core/kernels/emulated_avxvnni_kernel.h"

#include "core/kernels/block_kernel_loops.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace cytopress {
namespace {

// vpdpbusd, by products of 16 bits.
__m256i AddProductsOfBytes(__m256i sum, __m256i inputs, __m256i blocks) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(inputs, _mm256_set1_epi16(0xff)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(blocks, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(inputs, 8), _mm256_srai_epi16(blocks, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

}  // namespace
}  // namespace cytopress

#define _mm256_dpbusd_avx_epi32 AddProductsOfBytes
#include "core/kernels/block_vectors_avxvnni.h"

namespace cytopress {

const BlockKernel* EmulatedAvxVnniKernel() {
  static constexpr BlockKernel kKernel = KernelOf<AvxVnni>("emulated-avxvnni");
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kKernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* EmulatedAvxVnniKernel() { return nullptr; }

}  // namespace cytopress

#endif
