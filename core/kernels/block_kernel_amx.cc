// AMX: 16 rows and 16 positions a tile, exact 32-bit sums; its vectors are those of AVX512-VNNI.
#include "core/kernels/block_kernel_loops.h"

#if defined(__AMX_INT8__) && defined(__AVX512VNNI__) && defined(__linux__)
#include <asm/prctl.h>
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/kernels/block_vectors_avx512vnni.h"
#include "core/kernels/matrix_task.h"

namespace cytopress {
namespace {

using V = Avx512Vnni;
static_assert(V::kLanes == kTileRows, "a tile of inputs is a vector of positions");

// Of the inputs' tiles a row is 4 channels of 16 positions; of the weights' tiles a row has as many
// bytes as those have channels.
class Tiles {
 public:
  explicit Tiles(int blocks) {
    Configuration configuration;
    for (int tile = 0; tile < kTiles; ++tile) {
      const bool is_weights = tile == 4 || tile == 5, is_inputs = tile == 6 || tile == 7;
      configuration.rows[tile] = static_cast<uint8_t>(is_inputs ? blocks : kTileRows);
      configuration.row_bytes[tile] =
          static_cast<uint16_t>(is_weights ? blocks * kBlockChannels : kTileRowBytes);
    }
    _tile_loadconfig(&configuration);
  }
  // A thread that holds tiles has 8 KB more to save when another takes its turn.
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  static constexpr int kTiles = 8;
  struct Configuration {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  };
};

// The sums of two tiles of rows with two vectors, [32 rows][2 vectors].
struct Sums {
  static constexpr int kRowBytes = 2 * kTileRowBytes;
  alignas(64) int32_t values[kPairRows][2][V::kLanes];
};

template <int kRowTiles, int kVectors>
inline void Multiply(const MatrixTask& task, const int8_t* weights, const uint8_t* const* inputs,
                     Sums* sums) {
  _tile_zero(0);
  if constexpr (kVectors == 2) _tile_zero(1);
  if constexpr (kRowTiles == 2) _tile_zero(2);
  if constexpr (kRowTiles == 2 && kVectors == 2) _tile_zero(3);
  for (int i = 0; i < task.step_count; ++i) {
    const MatrixStep step = task.steps[i];
    _tile_loadd(4, weights + step.weights, kTileRowBytes);
    _tile_loadd(6, inputs[0] + step.inputs, task.source_stride);
    _tile_dpbsud(0, 4, 6);
    if constexpr (kVectors == 2) {
      _tile_loadd(7, inputs[1] + step.inputs, task.source_stride);
      _tile_dpbsud(1, 4, 7);
    }
    if constexpr (kRowTiles == 2) {
      _tile_loadd(5, weights + step.weights + kTileBytes, kTileRowBytes);
      _tile_dpbsud(2, 5, 6);
      if constexpr (kVectors == 2) _tile_dpbsud(3, 5, 7);
    }
  }
  _tile_stored(0, sums->values[0][0], Sums::kRowBytes);
  if constexpr (kVectors == 2) _tile_stored(1, sums->values[0][1], Sums::kRowBytes);
  if constexpr (kRowTiles == 2) _tile_stored(2, sums->values[kTileRows][0], Sums::kRowBytes);
  if constexpr (kRowTiles == 2 && kVectors == 2) {
    _tile_stored(3, sums->values[kTileRows][1], Sums::kRowBytes);
  }
}

template <int kVectors>
inline void Finish4(const MatrixTask& task, const Sums& sums, int row, const BlockTile& tile,
                    uint8_t* destination) {
  V::Int with_initial[kBlockChannels][kVectors];
  for (int j = 0; j < kBlockChannels; ++j) {
    const V::Int initial = V::Set(task.outputs.initial[row + j]);
    for (int v = 0; v < kVectors; ++v) {
      with_initial[j][v] = V::Add(V::LoadIndex(sums.values[row % kPairRows + j][v]), initial);
    }
  }
  uint8_t* const stored = destination + row / kBlockChannels * task.channel_stride;
  if (task.outputs.adds_residual) {
    FinishRows<V, kVectors, 1, true>(task.outputs, row, with_initial, tile, stored);
  } else {
    FinishRows<V, kVectors, 1, false>(task.outputs, row, with_initial, tile, stored);
  }
}

template <int kVectors>
void RunPair(const MatrixTask& task, const MatrixVector* vectors, const uint8_t* source,
             uint8_t* destination, int row, int last_row) {
  BlockTile tile;
  const uint8_t* inputs[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    inputs[v] = source + vectors[v].source;
    tile.destination[v] = vectors[v].destination;
  }
  const int rows = last_row - row < kPairRows ? last_row - row : kPairRows;
  const int8_t* const weights = task.weights + row / kPairRows * task.pair_bytes;
  Sums sums;
  if (rows > kTileRows) {
    Multiply<2, kVectors>(task, weights, inputs, &sums);
  } else {
    Multiply<1, kVectors>(task, weights, inputs, &sums);
  }
  for (int i = 0; i < rows; i += kBlockChannels) {
    Finish4<kVectors>(task, sums, row + i, tile, destination);
  }
}

void RunMatrix(const MatrixTask& task, const uint8_t* source, uint8_t* destination, int first_row,
               int last_row) {
  const Tiles tiles(task.blocks);
  for (int v = 0; v < task.vector_count; v += 2) {
    for (int row = first_row; row < last_row; row += kPairRows) {
      if (v + 1 < task.vector_count) {
        RunPair<2>(task, task.vectors + v, source, destination, row, last_row);
      } else {
        RunPair<1>(task, task.vectors + v, source, destination, row, last_row);
      }
    }
  }
}

bool HasInstructions() {
  constexpr unsigned kTileBit = 1u << 24, kInt8Bit = 1u << 25;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTileBit) != 0 && (d & kInt8Bit) != 0;
}

// Linux gives tiles to processes that ask for them.
bool MayUseTiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of newer headers
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const BlockKernel* AmxBlockKernel() {
  static const BlockKernel* const vectors = Avx512VnniBlockKernel();
  if (vectors == nullptr) return nullptr;
  static const BlockKernel kernel = [] {
    BlockKernel with_matrix = *vectors;
    with_matrix.run_matrix = RunMatrix;
    with_matrix.matrix_name = "amx";
    return with_matrix;
  }();
  static const bool is_there = HasInstructions() && MayUseTiles();
  return is_there ? &kernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* AmxBlockKernel() { return nullptr; }

}  // namespace cytopress

#endif
