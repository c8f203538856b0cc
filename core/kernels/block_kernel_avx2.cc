// AVX2: 8 positions a vector. vpmaddubsw adds pairs of products in 16 bits with saturation; see
// BlockKernel::adds_in_16_bits.
#include "core/kernels/block_kernel_loops.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include "core/kernels/block_vectors_256.h"

namespace cytopress {
namespace {

struct Avx2 : Vectors256<Avx2> {
  static constexpr bool kAddsIn16Bits = true;

  template <int N>
  [[gnu::always_inline]] static Int AddProducts(Int sum, const Int* inputs, const Int* blocks) {
    Int pairs = _mm256_maddubs_epi16(inputs[0], blocks[0]);
    for (int i = 1; i < N; ++i) {
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(inputs[i], blocks[i]));
    }
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

const BlockKernel* Avx2BlockKernel() {
  static constexpr BlockKernel kKernel = KernelOf<Avx2>("avx2");
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kKernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* Avx2BlockKernel() { return nullptr; }

}  // namespace cytopress

#endif
