#include "core/engine/compaction.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cytopress {
namespace {

constexpr int kChannelMultiple = 16;

template <typename T>
bool AllZero(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T value) { return value == 0; });
}

// From the last layer on, since what is unread reads nothing.
void FindUnread(DenseModel* model) {
  const std::vector<Layer>& layers = model->network.layers;
  model->unread.assign(layers.size(), true);
  for (size_t i = layers.size(); i-- > 0;) {
    const Layer& layer = layers[i];
    if (layer.op == Op::kLinear) model->unread[i] = false;
    if (model->unread[i]) continue;
    if (layer.residual >= 0) model->unread[layer.residual] = false;
    // Zero times what was never computed is not zero for all floats.
    const std::vector<int8_t>& weights = model->convolutions[i].integer_weights;
    const bool ignores = !weights.empty() && AllZero(weights);
    if (layer.input >= 0 && !ignores) model->unread[layer.input] = false;
  }
}

template <typename T>
void MarkRead(const std::vector<T>& weights, const Convolution& c, std::vector<bool>* read) {
  const auto taps = int64_t{c.kernel_height} * c.kernel_width;
  const int64_t row = c.in_channels * taps;
  auto unread = std::count(read->begin(), read->end(), false);
  // The first rows of most layers read everything.
  for (auto from = weights.begin(); from != weights.end() && unread > 0; from += row) {
    for (int channel = 0; channel < c.in_channels; ++channel) {
      const auto first = from + channel * taps;
      const auto is_zero = [](T value) { return value == 0; };
      if ((*read)[channel] || std::all_of(first, first + taps, is_zero)) continue;
      (*read)[channel] = true;
      --unread;
    }
  }
}

// Those that are read, and as many others as make their number a multiple.
std::vector<int> ChannelsToKeep(const std::vector<bool>& read) {
  const auto wanted = static_cast<int>(std::count(read.begin(), read.end(), true));
  int others = (kChannelMultiple - wanted % kChannelMultiple) % kChannelMultiple;
  if (wanted == 0) others = kChannelMultiple;
  std::vector<int> keep;
  for (size_t channel = 0; channel < read.size(); ++channel) {
    if (read[channel] || others-- > 0) keep.push_back(static_cast<int>(channel));
  }
  return keep;
}

// Of [outer, channels, inner], the channels of `keep`.
template <typename T>
void Select(const std::vector<int>& keep, size_t channels, size_t inner, std::vector<T>* values) {
  std::vector<T> selected;
  for (size_t outer = 0; outer < values->size(); outer += channels * inner) {
    for (const int channel : keep) {
      const auto from = values->begin() + static_cast<int64_t>(outer + channel * inner);
      selected.insert(selected.end(), from, from + static_cast<int64_t>(inner));
    }
  }
  values->swap(selected);
}

// So that those of them which stay read nothing in their turn.
template <typename T>
void ClearUnread(const std::vector<bool>& read, std::vector<T>* weights) {
  const size_t row = weights->size() / read.size();
  for (size_t channel = 0; channel < read.size(); ++channel) {
    if (!read[channel]) std::fill_n(weights->begin() + channel * row, row, T{0});
  }
}

void KeepOutputs(const std::vector<int>& keep, Convolution* c) {
  const size_t channels = c->out_channels;
  const size_t row = size_t(c->in_channels) * c->kernel_height * c->kernel_width;
  Select(keep, channels, row, &c->integer_weights);
  Select(keep, channels, row, &c->float_weights);
  Select(keep, channels, 1, &c->multiplier);
  Select(keep, channels, 1, &c->bias);
  c->out_channels = static_cast<int>(keep.size());
}

void KeepInputs(const std::vector<int>& keep, Convolution* c) {
  const size_t channels = c->in_channels;
  const size_t taps = size_t(c->kernel_height) * c->kernel_width;
  Select(keep, channels, taps, &c->integer_weights);
  Select(keep, channels, taps, &c->float_weights);
  c->in_channels = static_cast<int>(keep.size());
}

void DropUnreadChannels(int index, DenseModel* model) {
  std::vector<Layer>& layers = model->network.layers;
  const std::vector<size_t> readers = ConvolutionsReading(model->network, index);
  if (readers.empty()) return;
  std::vector<bool> read(layers[index].out_channels, false);
  for (const size_t reader : readers) {
    const Convolution& c = model->convolutions[reader];
    MarkRead(c.integer_weights, c, &read);
    MarkRead(c.float_weights, c, &read);
  }
  ClearUnread(read, &model->convolutions[index].integer_weights);
  ClearUnread(read, &model->convolutions[index].float_weights);
  const std::vector<int> keep = ChannelsToKeep(read);
  // What is added to a map of other channels keeps all of its own.
  if (keep.size() == read.size() || layers[index].residual >= 0) return;
  KeepOutputs(keep, &model->convolutions[index]);
  layers[index].out_channels = static_cast<int>(keep.size());
  for (const size_t reader : readers) {
    KeepInputs(keep, &model->convolutions[reader]);
    layers[reader].in_channels = static_cast<int>(keep.size());
  }
}

}  // namespace

void Compact(DenseModel* model) {
  FindUnread(model);
  for (int i = static_cast<int>(model->network.layers.size()) - 1; i >= 0; --i) {
    if (model->network.layers[i].op == Op::kConv) DropUnreadChannels(i, model);
  }
}

}  // namespace cytopress
