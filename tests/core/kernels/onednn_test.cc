#include "core/kernels/onednn.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace cytopress {
namespace {

using Tag = dnnl::memory::format_tag;
using DnnlType = dnnl::memory::data_type;

// 3x3, of channels that fill no block of 16.
Convolution Of(DataType source) {
  Convolution c;
  c.in_channels = 20;
  c.out_channels = 24;
  c.kernel_height = c.kernel_width = 3;
  c.source = source;
  std::mt19937 random(3);
  for (int i = 0; i < c.out_channels * c.in_channels * 9; ++i) {
    if (source == DataType::kUint8 || source == DataType::kInt8) {
      c.integer_weights.push_back(static_cast<int8_t>(random() % 255 - 127));
    } else {
      c.float_weights.push_back(static_cast<float>(random() % 255) - 127);
    }
  }
  c.bias.assign(c.out_channels, 0);
  c.multiplier.assign(c.out_channels, 1);
  return c;
}

std::vector<uint8_t> Weights(PackedConstants& constants, DnnlType type, Tag tag) {
  const Convolution& c = constants.convolution();
  const dnnl::memory memory = constants.Weights(
      {{c.out_channels, c.in_channels, c.kernel_height, c.kernel_width}, type, tag});
  const auto* const bytes = static_cast<const uint8_t*>(memory.get_data_handle());
  return std::vector<uint8_t>(bytes, bytes + memory.get_desc().get_size());
}

struct Case {
  DataType source;
  DnnlType type;
  Tag packed;
};

TEST(PackedConstantsTest, OnePackedLayoutIsEnoughToMakeTheOthers) {
  for (const Case& c : {Case{DataType::kUint8, DnnlType::s8, Tag::OIhw4i16o4i},
                        Case{DataType::kFloat32, DnnlType::f32, Tag::OIhw16i16o},
                        Case{DataType::kBfloat16, DnnlType::bf16, Tag::OIhw8i16o2i}}) {
    if (c.source == DataType::kBfloat16 && !HasBfloat16()) continue;
    const Convolution original = Of(c.source);
    PackedConstants of_plain(original);
    Convolution convolution = original;
    PackedConstants constants(convolution);
    EXPECT_TRUE(constants.needs_plain_weights());
    Weights(constants, c.type, c.packed);
    EXPECT_FALSE(constants.needs_plain_weights());
    convolution.integer_weights.assign(original.integer_weights.size(), 0);
    convolution.float_weights.assign(original.float_weights.size(), 0);
    EXPECT_EQ(Weights(constants, c.type, Tag::oihw), Weights(of_plain, c.type, Tag::oihw));
  }
}

TEST(PackedConstantsTest, SignedSourcesNeedThePlainWeights) {
  const Convolution convolution = Of(DataType::kInt8);
  PackedConstants constants(convolution);
  Weights(constants, DnnlType::s8, Tag::OIhw4i16o4i);
  EXPECT_TRUE(constants.needs_plain_weights());
}

}  // namespace
}  // namespace cytopress
