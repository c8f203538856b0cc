#include "core/engine/network_layout.h"

#include "core/engine/arena.h"

namespace cytopress {
namespace {

bool WritesMap(const Layer& layer) {
  return layer.op != Op::kLinear && layer.op != Op::kGlobalAvgPool;
}

MapForm FormIf(bool in_blocks) { return in_blocks ? kBlocks : kNhwc; }

}  // namespace

NetworkForms FormsOf(const Network& network, const std::vector<bool>& in_blocks) {
  NetworkForms forms;
  const size_t count = network.layers.size();
  forms.written.assign(count, kNhwc);
  forms.needed.assign(count, {false, false});
  for (size_t i = 0; i < count; ++i) {
    const Layer& layer = network.layers[i];
    if (!WritesMap(layer)) continue;
    if (layer.op == Op::kMaxPool) {
      forms.written[i] = forms.written[layer.input];
    } else if (layer.op == Op::kConv) {
      forms.written[i] = FormIf(in_blocks[i]);
      if (network.layers[layer.input].op == Op::kInput)
        forms.written[layer.input] = forms.written[i];
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const Layer& layer = network.layers[i];
    if (!WritesMap(layer)) continue;
    forms.needed[i][forms.written[i]] = true;
    for (const int read : {layer.input, layer.residual}) {
      if (read >= 0) forms.needed[read][forms.written[i]] = true;
    }
  }
  return forms;
}

NetworkLayout LayOut(const Network& network, const NetworkForms& forms,
                     const std::vector<ByForm<size_t>>& map_bytes, size_t scratch_bytes) {
  const int count = static_cast<int>(network.layers.size());
  std::vector<BufferLifetime> buffers;
  std::vector<ByForm<int>> buffer_of(count, {-1, -1});
  for (int i = 0; i < count; ++i) {
    const Layer& layer = network.layers[i];
    for (const MapForm form : {kNhwc, kBlocks}) {
      if (!forms.needed[i][form]) continue;
      int& buffer = buffer_of[i][form];
      if (layer.residual >= 0 && form == forms.written[i]) {
        buffer = buffer_of[layer.residual][form];
      } else {
        buffer = static_cast<int>(buffers.size());
        buffers.push_back({map_bytes[i][form], i, i});
      }
      buffers[buffer].last = i;
    }
    if (!WritesMap(layer)) continue;
    for (const int read : {layer.input, layer.residual}) {
      if (read >= 0) buffers[buffer_of[read][forms.written[i]]].last = i;
    }
  }
  const int pooled = PooledLayer(network);
  buffers[buffer_of[pooled][forms.written[pooled]]].last = count;
  buffers.push_back({scratch_bytes, 0, count});

  const ArenaLayout arena = PlanArena(buffers);
  NetworkLayout layout;
  layout.scratch_offset = arena.offsets.back();
  layout.bytes = arena.bytes;
  for (const ByForm<int>& buffer : buffer_of) {
    ByForm<size_t>& offsets = layout.offsets.emplace_back(ByForm<size_t>{0, 0});
    for (const MapForm form : {kNhwc, kBlocks}) {
      if (buffer[form] >= 0) offsets[form] = arena.offsets[buffer[form]];
    }
  }
  return layout;
}

int PooledLayer(const Network& network) {
  for (const Layer& layer : network.layers) {
    if (layer.op == Op::kGlobalAvgPool) return layer.input;
  }
  return 0;
}

}  // namespace cytopress
