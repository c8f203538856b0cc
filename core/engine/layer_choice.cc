#include "core/engine/layer_choice.h"

#include <algorithm>
#include <vector>

#include "core/engine/batch_engine.h"
#include "core/engine/layer_costs.h"
#include "core/engine/network_layout.h"

namespace cytopress {
namespace {

// From which batch on a matrix is faster than skipping zeros, by layer.
std::vector<int> MatrixFrom(const DenseModel& model, const std::vector<BlockCount>& counts,
                            IntegerUnit unit, const BlockKernel& kernel) {
  std::vector<int> from(model.network.layers.size(), LayerWay::kNever);
  std::vector<bool> decided(from.size(), false);
  for (int batch = LargestBatch(model); batch >= 1; batch /= 2) {
    const std::vector<LayerTimes> times = EstimateTimes(model, counts, batch, unit, kernel);
    for (size_t i = 0; i < from.size(); ++i) {
      if (times[i].matrix >= times[i].blocks) decided[i] = true;
      if (!decided[i]) from[i] = batch;
    }
  }
  return from;
}

// Of a pass with any choice between oneDNN and block maps, of the smallest and the largest batch,
// each in units of what oneDNN alone takes.
class PassTime {
 public:
  PassTime(const DenseModel& model, IntegerUnit unit, const BlockKernel& kernel)
      : network_(model.network),
        onednn_(network_.layers.size()),
        blocks_(network_.layers.size()),
        conversions_(network_.layers.size()) {
    const std::vector<BlockCount> counts = CountBlocks(model, kernel);
    matrix_from_ = MatrixFrom(model, counts, unit, kernel);
    for (const int batch : {1, LargestBatch(model)}) {
      const std::vector<LayerTimes> times = EstimateTimes(model, counts, batch, unit, kernel);
      double all = 0;
      for (const LayerTimes& time : times) all += time.onednn;
      for (size_t i = 0; i < times.size(); ++i) {
        onednn_[i] += times[i].onednn / all;
        blocks_[i] += (batch >= matrix_from_[i] ? times[i].matrix : times[i].blocks) / all;
        conversions_[i] += ConversionTime(network_.layers[i], batch) / all;
      }
    }
  }

  double operator()(const std::vector<bool>& in_blocks) const {
    const NetworkForms forms = FormsOf(network_, in_blocks);
    double time = 0;
    for (size_t i = 0; i < onednn_.size(); ++i) {
      time += in_blocks[i] ? blocks_[i] : onednn_[i];
      if (forms.IsConverted(i)) time += conversions_[i];
    }
    return time;
  }

  // Each layer by itself, as if converting cost nothing.
  std::vector<bool> Apart() const {
    std::vector<bool> in_blocks;
    for (size_t i = 0; i < onednn_.size(); ++i) in_blocks.push_back(blocks_[i] < onednn_[i]);
    return in_blocks;
  }

  LayerWays ChoiceOf(const std::vector<bool>& in_blocks) const {
    LayerWays choice;
    for (size_t i = 0; i < in_blocks.size(); ++i) {
      choice.push_back({in_blocks[i], in_blocks[i] ? matrix_from_[i] : LayerWay::kNever});
    }
    return choice;
  }

 private:
  const Network& network_;
  std::vector<int> matrix_from_;
  // By layer.
  std::vector<double> onednn_;
  std::vector<double> blocks_;
  std::vector<double> conversions_;
};

// Local search (hill climbing): lets up to 4 convolutions in a row be computed the same way, for as
// long as some such change makes the pass shorter.
void Improve(const PassTime& time, const std::vector<int>& convolutions,
             std::vector<bool>* choice) {
  constexpr size_t kTogether = 4;
  double best = time(*choice);
  for (bool improves = true; improves;) {
    improves = false;
    for (size_t first = 0; first < convolutions.size(); ++first) {
      for (const bool in_blocks : {false, true}) {
        std::vector<bool> changed = *choice;
        for (size_t i = first; i < std::min(first + kTogether, convolutions.size()); ++i) {
          if (changed[convolutions[i]] == in_blocks) continue;
          changed[convolutions[i]] = in_blocks;
          const double changed_time = time(changed);
          if (changed_time >= best) continue;
          best = changed_time;
          *choice = changed;
          improves = true;
        }
      }
    }
  }
}

}  // namespace

LayerWays ChooseLayers(const DenseModel& model, const BlockKernel& kernel) {
  const Network& network = model.network;
  if (model.arithmetic != DenseArithmetic::kInt8) return AllByOneDnn(network);
  if (!HasExactInt8()) return AllInBlocks(network);
  return ChooseLayers(model, BestIntegerUnit(), kernel);
}

LayerWays ChooseLayers(const DenseModel& model, IntegerUnit unit, const BlockKernel& kernel) {
  const Network& network = model.network;
  std::vector<int> convolutions;
  std::vector<bool> all(network.layers.size(), false);
  for (size_t i = 0; i < network.layers.size(); ++i) {
    if (network.layers[i].op != Op::kConv) continue;
    convolutions.push_back(static_cast<int>(i));
    all[i] = true;
  }
  const PassTime time(model, unit, kernel);
  std::vector<bool> best(network.layers.size(), false);
  double best_time = time(best);
  for (std::vector<bool> start : {best, time.Apart(), all}) {
    Improve(time, convolutions, &start);
    if (time(start) >= best_time) continue;
    best_time = time(start);
    best = start;
  }
  return time.ChoiceOf(best);
}

}  // namespace cytopress
