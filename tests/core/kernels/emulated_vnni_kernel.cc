#include "tests/core/kernels/emulated_vnni_kernel.h"

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstring>

#include "core/kernels/block_kernel_loops.h"

namespace cytopress {
namespace {

// Those that version 0.7.4 of SIMD Everywhere lacks.
simde__m512 ConvertToFloat(simde__m512i a) {
  int32_t from[16];
  float to[16];
  simde_mm512_storeu_si512(from, a);
  for (int i = 0; i < 16; ++i) to[i] = static_cast<float>(from[i]);
  return simde_mm512_loadu_ps(to);
}

simde__m512i ConvertToInt(simde__m512 a) {
  float from[16];
  int32_t to[16];
  simde_mm512_storeu_ps(from, a);
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int32_t>(std::nearbyint(from[i]));
  return simde_mm512_loadu_si512(to);
}

// SIMD Everywhere's rounds twice where the CPU has no such instruction.
simde__m512 FusedMultiplyAdd(simde__m512 a, simde__m512 b, simde__m512 c) {
  float x[16], y[16], z[16];
  simde_mm512_storeu_ps(x, a);
  simde_mm512_storeu_ps(y, b);
  simde_mm512_storeu_ps(z, c);
  for (int i = 0; i < 16; ++i) z[i] = std::fma(x[i], y[i], z[i]);
  return simde_mm512_loadu_ps(z);
}

simde__m512i Widen(simde__m256i a) {
  uint16_t from[16];
  int32_t to[16];
  simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(from), a);
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}

simde__m256i LoadMasked16(simde__mmask16 lanes, const void* from) {
  uint16_t to[16] = {};
  for (int i = 0; i < 16; ++i) {
    if (lanes >> i & 1) std::memcpy(&to[i], static_cast<const uint16_t*>(from) + i, sizeof(to[i]));
  }
  return simde_mm256_loadu_si256(reinterpret_cast<simde__m256i*>(to));
}

simde__m512i LoadMasked32(simde__mmask16 lanes, const void* from) {
  const auto* const bytes = static_cast<const uint8_t*>(from);
  int32_t to[16] = {};
  for (int i = 0; i < 16; ++i) {
    if (lanes >> i & 1) std::memcpy(&to[i], bytes + sizeof(to[i]) * i, sizeof(to[i]));
  }
  return simde_mm512_loadu_si512(to);
}

simde__m512i Gather(simde__m512i distances, const uint8_t* from, int scale) {
  int32_t at[16], to[16];
  simde_mm512_storeu_si512(at, distances);
  for (int i = 0; i < 16; ++i) std::memcpy(&to[i], from + scale * at[i], sizeof(to[i]));
  return simde_mm512_loadu_si512(to);
}

simde__m512i LoadWhere32(simde__m512i fill, simde__mmask16 lanes, const void* from) {
  const auto* const bytes = static_cast<const uint8_t*>(from);
  int32_t to[16];
  simde_mm512_storeu_si512(to, fill);
  for (int i = 0; i < 16; ++i) {
    if (lanes >> i & 1) std::memcpy(&to[i], bytes + sizeof(to[i]) * i, sizeof(to[i]));
  }
  return simde_mm512_loadu_si512(to);
}

simde__m512i GatherWhere32(simde__m512i fill, simde__mmask16 lanes, simde__m512i distances,
                           const uint8_t* from, int scale) {
  int32_t at[16], to[16];
  simde_mm512_storeu_si512(at, distances);
  simde_mm512_storeu_si512(to, fill);
  for (int i = 0; i < 16; ++i) {
    if (lanes >> i & 1) std::memcpy(&to[i], from + int64_t{scale} * at[i], sizeof(to[i]));
  }
  return simde_mm512_loadu_si512(to);
}

}  // namespace
}  // namespace cytopress

#undef _mm512_cvtepu16_epi32
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps FusedMultiplyAdd
#define _mm512_cvtepu16_epi32 Widen
#define _mm512_i32gather_epi32 Gather
#define __mmask16 simde__mmask16
#define _mm256_maskz_loadu_epi16 LoadMasked16
#define _mm512_maskz_loadu_epi32 LoadMasked32
#define _mm512_mask_loadu_epi32 LoadWhere32
#define _mm512_mask_i32gather_epi32 GatherWhere32
#define _mm512_cvtepi32_ps ConvertToFloat
#define _mm512_cvtps_epi32 ConvertToInt
#include "core/kernels/block_vectors_avx512vnni.h"

namespace cytopress {
namespace {

using V = Avx512Vnni;
static_assert(V::kLanes == kTileRows, "a tile of inputs is a vector of positions");

// Of one row with a vector of positions.
V::Int SumOfMatrix(const MatrixTask& task, const uint8_t* inputs, int row) {
  int32_t sums[V::kLanes];
  for (int32_t& sum : sums) sum = task.outputs.initial[row];
  const int8_t* const of_row =
      task.weights + row / kPairRows * task.pair_bytes + int64_t{row} % kPairRows * kTileRowBytes;
  for (int i = 0; i < task.step_count; ++i) {
    const MatrixStep step = task.steps[i];
    for (int block = 0; block < task.blocks; ++block) {
      const uint8_t* const values = inputs + step.inputs + block * task.source_stride;
      const int8_t* const weights = of_row + step.weights + int64_t{kBlockChannels} * block;
      for (int lane = 0; lane < V::kLanes; ++lane) {
        for (int c = 0; c < kBlockChannels; ++c) {
          sums[lane] += values[kBlockChannels * lane + c] * weights[c];
        }
      }
    }
  }
  return V::LoadIndex(sums);
}

void RunMatrix(const MatrixTask& task, const uint8_t* source, uint8_t* destination, int first_row,
               int last_row) {
  for (int v = 0; v < task.vector_count; ++v) {
    BlockTile tile;
    tile.destination[0] = task.vectors[v].destination;
    for (int row = first_row; row < last_row; row += kBlockChannels) {
      V::Int sums[kBlockChannels][1];
      for (int j = 0; j < kBlockChannels; ++j) {
        sums[j][0] = SumOfMatrix(task, source + task.vectors[v].source, row + j);
      }
      uint8_t* const stored = destination + row / kBlockChannels * task.channel_stride;
      if (task.outputs.adds_residual) {
        FinishRows<V, 1, 1, true>(task.outputs, row, sums, tile, stored);
      } else {
        FinishRows<V, 1, 1, false>(task.outputs, row, sums, tile, stored);
      }
    }
  }
}

}  // namespace

const BlockKernel& EmulatedVnniKernel() {
  static constexpr BlockKernel kKernel = KernelOf<Avx512Vnni>("emulated-avx512vnni");
  return kKernel;
}

const BlockKernel& EmulatedAmxKernel() {
  static const BlockKernel kernel = [] {
    BlockKernel with_matrix = EmulatedVnniKernel();
    with_matrix.run_matrix = RunMatrix;
    with_matrix.matrix_name = "emulated-amx";
    return with_matrix;
  }();
  return kernel;
}

}  // namespace cytopress
