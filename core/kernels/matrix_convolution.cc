#include "core/kernels/matrix_convolution.h"

#include <algorithm>

namespace cytopress {

MatrixConvolution::MatrixConvolution(const Convolution& convolution, const MatrixWeights& weights,
                                     const BlockMap& source, const BlockMap& map,
                                     const BlockKernel& kernel)
    : kernel_(kernel),
      inputs_(convolution, source, kernel, weights.taps()),
      rows_(convolution.out_channels) {
  if (!map.tile_a_pixel) {
    parts_.push_back(
        MakePart(convolution, weights, map, {std::vector<bool>(weights.taps(), true), {}}));
    return;
  }
  for (const AlikePositions& alike : PositionsByTaps(convolution, weights.taps())) {
    parts_.push_back(MakePart(convolution, weights, map, alike));
  }
}

MatrixConvolution::Part MatrixConvolution::MakePart(const Convolution& convolution,
                                                    const MatrixWeights& weights,
                                                    const BlockMap& map,
                                                    const AlikePositions& alike) const {
  Part part;
  for (int tap = 0; tap < weights.taps(); ++tap) {
    for (int step = 0; alike.used_taps[tap] && step < weights.steps(); ++step) {
      part.steps.push_back(
          {weights.Offset(tap, step), inputs_.TapOffset(tap, weights.FirstBlock(step))});
    }
  }
  part.initial = weights.InitialAt(alike.used_taps);
  const auto add = [&](int64_t from, int64_t to) {
    for (int64_t lane = 0; lane < map.tile_lanes; lane += kernel_.lanes) {
      part.vectors.push_back({from + lane * kBlockChannels, to + lane * kBlockChannels});
    }
  };
  if (!map.tile_a_pixel) add(0, 0);
  for (const auto [y, x] : alike.positions) add(inputs_.WindowOffset(y, x), map.Offset(0, y, x));

  MatrixTask& task = part.task;
  task.outputs = weights.constants().View(convolution);
  task.outputs.initial = part.initial.data();
  task.rows = rows_;
  task.weights = weights.data();
  task.pair_bytes = weights.pair_bytes();
  task.steps = part.steps.data();
  task.step_count = static_cast<int>(part.steps.size());
  task.blocks = weights.blocks();
  task.source_stride = inputs_.group_stride();
  task.vectors = part.vectors.data();
  task.vector_count = static_cast<int>(part.vectors.size());
  task.channel_stride = map.tile_lanes * kBlockChannels;
  return part;
}

void MatrixConvolution::Run(const uint8_t* source, uint8_t* scratch, uint8_t* destination,
                            int threads) const {
  const uint8_t* const inputs = inputs_.Prepare(source, scratch);
  const auto run = [&](int first_row, int last_row) {
    for (const Part& part : parts_) {
      kernel_.run_matrix(part.task, inputs, destination, first_row, last_row);
    }
  };
  if (threads == 1) return run(0, rows_);
  const int pairs = (rows_ + kPairRows - 1) / kPairRows;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    run(pairs * part / threads * kPairRows,
        std::min(pairs * (part + 1) / threads * kPairRows, rows_));
  }
}

}  // namespace cytopress
