#include "core/engine/arena.h"

#include <algorithm>
#include <numeric>

namespace cytopress {
namespace {

size_t Align(size_t value) {
  return (value + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

bool Meet(const BufferLifetime& a, const BufferLifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

struct Range {
  size_t begin;
  size_t end;
};

size_t LowestGap(std::vector<Range> taken, size_t bytes) {
  std::sort(taken.begin(), taken.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  size_t offset = 0;
  for (const Range& range : taken) {
    if (range.begin >= offset + bytes) break;
    offset = std::max(offset, range.end);
  }
  return offset;
}

}  // namespace

ArenaLayout PlanArena(const std::vector<BufferLifetime>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  ArenaLayout layout;
  layout.offsets.resize(buffers.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const BufferLifetime& buffer = buffers[order[i]];
    std::vector<Range> taken;
    for (size_t j = 0; j < i; ++j) {
      const BufferLifetime& other = buffers[order[j]];
      const size_t begin = layout.offsets[order[j]];
      if (Meet(buffer, other)) taken.push_back({begin, begin + Align(other.bytes)});
    }
    const size_t offset = LowestGap(std::move(taken), Align(buffer.bytes));
    layout.offsets[order[i]] = offset;
    layout.bytes = std::max(layout.bytes, offset + Align(buffer.bytes));
  }
  return layout;
}

void Arena::Reserve(size_t bytes) {
  if (bytes <= bytes_) return;
  // Not initialized: pages that no plan touches are never taken from the machine.
  block_.reset(new uint8_t[bytes + kArenaAlignment]);
  const auto address = reinterpret_cast<uintptr_t>(block_.get());
  data_ = block_.get() + (Align(address) - address);
  bytes_ = bytes;
}

}  // namespace cytopress
