#include "core/engine/network_layout.h"

#include <algorithm>

#include "core/engine/arena.h"

namespace cytopress {

std::vector<int> AssignBuffers(const Network& network) {
  std::vector<int> buffer_of;
  int next = 0;
  for (const Layer& layer : network.layers) {
    if (layer.op == Op::kLinear || layer.op == Op::kGlobalAvgPool) {
      buffer_of.push_back(-1);
    } else {
      buffer_of.push_back(layer.residual >= 0 ? buffer_of[layer.residual] : next++);
    }
  }
  return buffer_of;
}

NetworkLayout LayOut(const Network& network, const std::vector<int>& buffer_of,
                     const std::vector<size_t>& buffer_bytes, size_t scratch_bytes) {
  const int count = static_cast<int>(network.layers.size());
  std::vector<BufferLifetime> buffers;
  for (size_t bytes : buffer_bytes) buffers.push_back({bytes, count, 0});
  const auto use = [&](int layer, int step) {
    if (layer < 0 || buffer_of[layer] < 0) return;
    BufferLifetime& buffer = buffers[buffer_of[layer]];
    buffer.first = std::min(buffer.first, step);
    buffer.last = std::max(buffer.last, step);
  };
  for (int i = 0; i < count; ++i) {
    use(i, i);
    use(network.layers[i].input, i);
    use(network.layers[i].residual, i);
  }
  buffers.push_back({scratch_bytes, 0, count});

  const ArenaLayout arena = PlanArena(buffers);
  NetworkLayout layout;
  layout.scratch_offset = arena.offsets.back();
  layout.bytes = arena.bytes;
  for (int buffer : buffer_of) layout.offsets.push_back(buffer < 0 ? 0 : arena.offsets[buffer]);
  return layout;
}

int PooledLayer(const Network& network) {
  for (const Layer& layer : network.layers) {
    if (layer.op == Op::kGlobalAvgPool) return layer.input;
  }
  return 0;
}

}  // namespace cytopress
