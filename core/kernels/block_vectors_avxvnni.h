// The vectors of AVX-VNNI for block_kernel_loops.h. Whoever includes this has included what defines
// the intrinsics: <immintrin.h>, and in the tests an emulation of _mm256_dpbusd_avx_epi32.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_AVXVNNI_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_AVXVNNI_H_

#include "core/kernels/block_vectors_256.h"

namespace cytopress {
namespace {

struct AvxVnni : Vectors256<AvxVnni> {
  static constexpr bool kAddsIn16Bits = false;

  template <int N>
  [[gnu::always_inline]] static Int AddProducts(Int sum, const Int* inputs, const Int* blocks) {
    for (int i = 0; i < N; ++i) {
#if defined(__AVXVNNI__)
      // As for AVX512-VNNI, GCC 12 copies sums around the intrinsic.
      asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(inputs[i]), "x"(blocks[i]));
#else
      sum = _mm256_dpbusd_avx_epi32(sum, inputs[i], blocks[i]);
#endif
    }
    return sum;
  }
};

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_AVXVNNI_H_
