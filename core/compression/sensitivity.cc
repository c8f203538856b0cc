#include "core/compression/sensitivity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>

#include "core/artifact/artifact.h"
#include "core/base/status_macros.h"
#include "core/compression/fisher.h"
#include "core/compression/pruning.h"
#include "core/compression/weight_rounding.h"
#include "core/kernels/block_kernel.h"

namespace cytopress {
namespace {

constexpr double kSparsities[] = {0,    0.3, 0.5,  0.6,  0.7,  0.75, 0.8,
                                  0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99};
// Of the work, roughly.
constexpr double kFisherShare = 0.5;
constexpr int kIntegers = 256;
constexpr int kZero = kIntegers / 2;  // the first is -128
// How much of what blocks of zeros save zstd finds, in the two block4 files of deploy/zoo: all of
// it where a block's weights are neighbours in the file, less where a kernel's positions lie
// between.
constexpr double kFoundOfPoints = 1;
constexpr double kFoundOfKernels = 0.6;
// The share of its blocks from which on a layer is multiplied in full, which is then faster than
// skipping zeros: between half of them, on a CPU with VNNI, and a tenth, with AMX (layer_costs.h).
constexpr double kFullShare = 0.25;
// In a file, a little less than in those of deploy/zoo.
constexpr double kBytesOfBias = 1.75;      // 1.8 of 2
constexpr double kBytesOfInt8 = 0.45;      // of a classifier's weights: 0.48 to 0.66
constexpr double kBytesOfTableLines = 80;  // of a layer's weights and biases

double EntropyBytes(const std::array<int64_t, kIntegers>& counts, int64_t total) {
  double bits = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    bits -= static_cast<double>(count) *
            std::log2(static_cast<double>(count) / static_cast<double>(total));
  }
  return bits / 8;
}

// How often each integer is in a layer whose weights are pruned in blocks.
struct IntegerCounts {
  std::array<int64_t, kIntegers> of_blocks{};  // that are not all zero
  int64_t blocks = 0;
  int64_t zero_blocks = 0;
  int64_t zero_weights = 0;  // of the zero blocks
};

double BytesOf(const IntegerCounts& counts, double found) {
  const auto total = [](const std::array<int64_t, kIntegers>& of) {
    return std::accumulate(of.begin(), of.end(), int64_t{0});
  };
  std::array<int64_t, kIntegers> all = counts.of_blocks;
  all[kZero] += counts.zero_weights;
  const double one_by_one = EntropyBytes(all, total(all));
  const double in_blocks =
      EntropyBytes({counts.blocks - counts.zero_blocks, counts.zero_blocks}, counts.blocks) +
      EntropyBytes(counts.of_blocks, total(counts.of_blocks));
  return one_by_one - found * (one_by_one - in_blocks);  // the same for blocks of one
}

// The integers as a file has them: those of groups without their multipliers.
std::vector<int8_t> IntegersInFile(const StoredTensor& rounded) {
  std::vector<int8_t> integers = rounded.integers;
  if (rounded.group_size == 0) return integers;
  const auto count = static_cast<int64_t>(integers.size()), row = count / rounded.shape[0];
  const int64_t groups = GroupsOfChannel(rounded.shape, rounded.group_size);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t group = i / row * groups + i % row / rounded.group_size;
    integers[i] = static_cast<int8_t>(integers[i] / rounded.multipliers[group]);
  }
  return integers;
}

// One layer's weights [out, in, kernel, kernel], block by block from the least on, in the order in
// which MagnitudeMasks removes them.
class LayerCosts {
 public:
  LayerCosts(const Layer& layer, const Tensor& weight, const float* fisher,
             const torch::Tensor& scores, int block)
      : weight_(weight),
        fisher_(fisher),
        positions_(weight.shape[2] * weight.shape[3]),
        outputs_(int64_t{layer.out_height} * layer.out_width) {
    const int64_t channels = weight.shape[1], blocks = scores.size(1);
    const int64_t skipped_blocks = (channels + kBlockChannels - 1) / kBlockChannels;
    const torch::Tensor order = scores.flatten().argsort();
    const int64_t* const ranked = order.data_ptr<int64_t>();
    order_.reserve(order.numel());
    last_ranks_.resize(weight.shape[0] * skipped_blocks * positions_);
    for (const int64_t* at = ranked; at != ranked + order.numel(); ++at) {
      const int64_t position = *at % positions_, row = *at / positions_;
      const int64_t first = row % blocks * block;
      const int64_t skipped = row / blocks * skipped_blocks + first / kBlockChannels;
      last_ranks_[skipped * positions_ + position] = order_.size();
      order_.push_back({(row / blocks * channels + first) * positions_ + position,
                        std::min<int64_t>(block, channels - first)});
    }
    std::sort(last_ranks_.begin(), last_ranks_.end());
  }

  // `in_file` are the integers of `rounded` by IntegersInFile.
  LayerChoice Cost(double sparsity, const StoredTensor& rounded, const std::vector<int8_t>& in_file,
                   v1::WeightType type) const {
    const auto pruned =
        static_cast<size_t>(std::llround(sparsity * static_cast<double>(order_.size())));
    IntegerCounts counts;
    counts.blocks = static_cast<int64_t>(order_.size());
    double loss = 0;
    for (size_t rank = 0; rank < order_.size(); ++rank) {
      loss += AddBlock(order_[rank], /*keeps=*/rank >= pruned, rounded, in_file, &counts);
    }
    const auto scales = static_cast<double>(rounded.scales.size() * sizeof(float) +
                                            (rounded.multipliers.size() + 1) / 2);
    const double found = positions_ == 1 ? kFoundOfPoints : kFoundOfKernels;
    return {sparsity, type, BytesOf(counts, found) + scales, loss, WorkWithout(pruned)};
  }

 private:
  struct Block {
    int64_t first;  // of its weights; each next one is `positions_` further
    int64_t weights;
  };

  // Where the blocks of the `pruned` least ranks are zero.
  double WorkWithout(size_t pruned) const {
    const auto left = static_cast<double>(
        last_ranks_.end() - std::lower_bound(last_ranks_.begin(), last_ranks_.end(), pruned));
    const double full = kFullShare * static_cast<double>(last_ranks_.size());
    return std::min(left, full) * static_cast<double>(outputs_);
  }

  // Counts the block's integers and returns its loss.
  double AddBlock(const Block& block, bool keeps, const StoredTensor& rounded,
                  const std::vector<int8_t>& in_file, IntegerCounts* counts) const {
    const size_t row = weight_.values.size() / rounded.scales.size();
    const int64_t end = block.first + block.weights * positions_;
    double loss = 0;
    bool is_zero = true;
    for (int64_t i = block.first; i < end; i += positions_) {
      const int integer = keeps ? rounded.integers[i] : 0;
      is_zero &= integer == 0;
      const float change =
          weight_.values[i] - static_cast<float>(integer) * rounded.scales[i / row];
      loss += 0.5 * static_cast<double>(fisher_[i]) * static_cast<double>(change * change);
    }
    if (is_zero) {
      ++counts->zero_blocks;
      counts->zero_weights += block.weights;
      return loss;
    }
    for (int64_t i = block.first; i < end; i += positions_) {
      ++counts->of_blocks[in_file[i] + kZero];
    }
    return loss;
  }

  const Tensor& weight_;
  const float* fisher_;
  const int64_t positions_;
  const int64_t outputs_;  // of a channel
  std::vector<Block> order_;
  // The rank with which each of the blocks that engines skip is all zero; sorted.
  std::vector<size_t> last_ranks_;
};

// Every sparsity as INT8 and as INT4.
std::vector<LayerChoice> ChoicesOf(const TorchNetwork& network, const Layer& layer,
                                   const Tensor& weight, const LayerCosts& costs,
                                   v1::QuantizeOptions options) {
  options.clear_layer_weights();
  std::vector<LayerChoice> choices;
  for (const auto type : {v1::WEIGHT_TYPE_INT8, v1::WEIGHT_TYPE_INT4}) {
    options.set_weights(type);
    const StoredTensor rounded = RoundWeight(weight, FormatOf(network.network(), layer, options),
                                             FindLayerGrid(network, layer, options));
    const std::vector<int8_t> in_file = IntegersInFile(rounded);
    for (const double sparsity : kSparsities) {
      choices.push_back(costs.Cost(sparsity, rounded, in_file, type));
    }
  }
  return choices;
}

}  // namespace

absl::StatusOr<std::vector<LayerSensitivity>> MeasureSensitivity(
    TorchNetwork& network, const Dataset& dataset, const v1::Recipe& recipe, int64_t images,
    const std::function<absl::Status(double)>& progress) {
  CYTOPRESS_ASSIGN_OR_RETURN(
      const FisherDiagonal fisher,
      MeasureFisher(network, dataset, images, recipe.seed(),
                    [&](double done) { return progress(kFisherShare * done); }));
  const TensorMap weights = network.Export();
  const int block = BlockSize(recipe.prune().pattern());
  std::vector<LayerSensitivity> layers;
  for (const Layer& layer : network.network().layers) {
    if (!IsPrunable(layer)) continue;
    const double done = static_cast<double>(layers.size()) / static_cast<double>(fisher.size());
    CYTOPRESS_RETURN_IF_ERROR(progress(kFisherShare + (1 - kFisherShare) * done));
    const std::string name = layer.name + ".weight";
    const Tensor& weight = weights.at(name);
    const torch::Tensor scores =
        BlockScores(network.tensors().at(name).detach().to(torch::kCPU), block);
    const torch::Tensor layer_fisher = fisher.at(name).to(torch::kCPU).contiguous();
    const LayerCosts costs(layer, weight, layer_fisher.data_ptr<float>(), scores, block);
    layers.push_back({layer.name, ChoicesOf(network, layer, weight, costs, recipe.quantize())});
  }
  return layers;
}

double FixedBytes(const Network& network) {
  double bytes = 0;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    bytes += kBytesOfBias * layer.out_channels + kBytesOfTableLines;
    if (IsPrunable(layer)) continue;
    bytes += kBytesOfInt8 * static_cast<double>(layer.weight_count()) +
             static_cast<double>(sizeof(float)) * layer.out_channels;
  }
  return bytes;
}

double LeastBytes(const Network& network, const v1::PruneOptions& options) {
  const int64_t block = BlockSize(options.pattern());
  double bytes = FixedBytes(network);
  for (const Layer& layer : network.layers) {
    if (!IsPrunable(layer)) continue;
    const int64_t blocks = layer.weight_count() / block;
    const auto left =
        static_cast<int64_t>((1 - *std::rbegin(kSparsities)) * static_cast<double>(blocks));
    bytes += EntropyBytes({blocks - left, left}, blocks);
  }
  return bytes;
}

}  // namespace cytopress
