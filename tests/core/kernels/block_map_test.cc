#include "core/kernels/block_map.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "core/kernels/row_constants.h"

namespace cytopress {
namespace {

struct Case {
  int channels, height, width, images;
};

class BlockMapTest : public testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  // Eight and sixteen lanes, where this CPU has them.
  std::vector<const BlockKernel*> Kernels() const {
    std::vector<const BlockKernel*> kernels = {&PortableBlockKernel()};
    if (Avx512VnniBlockKernel() != nullptr) kernels.push_back(Avx512VnniBlockKernel());
    return kernels;
  }
};

TEST_P(BlockMapTest, HoldsEveryByteWhereItsOffsetSays) {
  const size_t image = size_t(c.height) * c.width * c.channels;
  std::vector<uint8_t> nhwc(image * c.images);
  for (size_t i = 0; i < nhwc.size(); ++i) nhwc[i] = static_cast<uint8_t>(i * 37 + i / 256);
  for (const BlockKernel* kernel : Kernels()) {
    const BlockMap map = MakeBlockMap(c.channels, c.height, c.width, c.images, *kernel);
    std::vector<uint8_t> blocks(map.bytes(), 0xa5);
    ToBlocks(map, kSignedZero, nhwc.data(), blocks.data());
    for (int i = 0; i < c.images; ++i) {
      for (int y = 0; y < c.height; ++y) {
        for (int x = 0; x < c.width; ++x) {
          for (int channel = 0; channel < c.channels; ++channel) {
            const int64_t at = map.Offset(channel / 4, y, x) + 4 * i + channel % 4;
            const size_t from = i * image + (size_t(y) * c.width + x) * c.channels + channel;
            ASSERT_EQ(blocks[at], nhwc[from] ^ 0x80) << kernel->name << " at " << from;
          }
        }
      }
    }
  }
}

TEST_P(BlockMapTest, ComesBackAsItWas) {
  const size_t size = size_t(c.height) * c.width * c.channels * c.images;
  std::vector<uint8_t> nhwc(size), back(size + 1, 0xa5);
  std::iota(nhwc.begin(), nhwc.end(), uint8_t{3});
  for (const BlockKernel* kernel : Kernels()) {
    const BlockMap map = MakeBlockMap(c.channels, c.height, c.width, c.images, *kernel);
    std::vector<uint8_t> blocks(map.bytes());
    ToBlocks(map, 0, nhwc.data(), blocks.data());
    ToNhwc(map, 0, blocks.data(), back.data());
    EXPECT_TRUE(std::equal(nhwc.begin(), nhwc.end(), back.begin())) << kernel->name;
    EXPECT_EQ(back[size], 0xa5) << "wrote beyond the map";
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, BlockMapTest,
                         testing::Values(Case{16, 7, 7, 1}, Case{64, 3, 5, 3}, Case{20, 2, 2, 2},
                                         Case{4, 1, 1, 1}, Case{80, 4, 4, 32}, Case{16, 2, 3, 64},
                                         Case{12, 5, 5, 16}),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return "C" + std::to_string(c.channels) + "H" +
                                  std::to_string(c.height) + "W" + std::to_string(c.width) + "N" +
                                  std::to_string(c.images);
                         });

}  // namespace
}  // namespace cytopress
