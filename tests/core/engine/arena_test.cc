#include "core/engine/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>

namespace cytopress {
namespace {

size_t BytesNeededAt(const std::vector<BufferLifetime>& buffers, int step) {
  size_t bytes = 0;
  for (const BufferLifetime& buffer : buffers) {
    if (buffer.first <= step && step <= buffer.last) bytes += buffer.bytes;
  }
  return bytes;
}

TEST(PlanArenaTest, BuffersThatAreNeededTogetherDoNotOverlap) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<BufferLifetime> buffers;
    for (int i = 0; i < 30; ++i) {
      const int first = static_cast<int>(random() % 40);
      buffers.push_back({1 + random() % 5000, first, first + static_cast<int>(random() % 6)});
    }
    const ArenaLayout layout = PlanArena(buffers);
    ASSERT_EQ(layout.offsets.size(), buffers.size());
    for (size_t a = 0; a < buffers.size(); ++a) {
      EXPECT_EQ(layout.offsets[a] % kArenaAlignment, 0u);
      EXPECT_LE(layout.offsets[a] + buffers[a].bytes, layout.bytes);
      for (size_t b = 0; b < a; ++b) {
        const bool together =
            buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last;
        const bool apart = layout.offsets[a] + buffers[a].bytes <= layout.offsets[b] ||
                           layout.offsets[b] + buffers[b].bytes <= layout.offsets[a];
        EXPECT_TRUE(!together || apart) << a << " and " << b;
      }
    }
  }
}

TEST(PlanArenaTest, MemoryIsUsedAgain) {
  // A chain of equal layers needs two buffers at a time.
  std::vector<BufferLifetime> chain;
  for (int i = 0; i < 20; ++i) chain.push_back({1024, i, i + 1});
  EXPECT_EQ(BytesNeededAt(chain, 5), 2048u);
  EXPECT_EQ(PlanArena(chain).bytes, 2048u);
}

TEST(PlanArenaTest, NothingToPlace) { EXPECT_EQ(PlanArena({}).bytes, 0u); }

TEST(ArenaTest, GrowsAndIsAligned) {
  Arena arena;
  arena.Reserve(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.data()) % kArenaAlignment, 0u);
  std::fill_n(arena.data(), 100, uint8_t{7});
  uint8_t* const before = arena.data();
  arena.Reserve(50);
  EXPECT_EQ(arena.data(), before);
  arena.Reserve(100000);
  EXPECT_EQ(arena.bytes(), 100000u);
  std::fill_n(arena.data(), 100000, uint8_t{7});
}

}  // namespace
}  // namespace cytopress
