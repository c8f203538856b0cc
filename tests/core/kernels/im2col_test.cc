#include "core/kernels/im2col.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/core/kernels/reference.h"

namespace cytopress {
namespace {

// Of one kernel, stride and padding, with room for the copying to pay.
Convolution Of(int kernel, int stride, int in_size, int out_size) {
  Convolution c;
  c.source = DataType::kUint8;
  c.in_channels = 64;
  c.in_height = c.in_width = in_size;
  c.out_channels = 68;
  c.out_height = c.out_width = out_size;
  c.kernel_height = c.kernel_width = kernel;
  c.stride = stride;
  c.pad_top = c.pad_left = kernel / 2;
  std::mt19937 random(5);
  c.integer_weights.resize(size_t(64) * 68 * kernel * kernel);
  for (int8_t& weight : c.integer_weights) weight = static_cast<int8_t>(random() % 255 - 127);
  return c;
}

// The sums of all images.
std::vector<int32_t> Sums(const Convolution& c, const std::vector<uint8_t>& source) {
  const size_t image = size_t(c.in_height) * c.in_width * c.in_channels;
  std::vector<int32_t> sums;
  for (size_t from = 0; from < source.size(); from += image) {
    const auto of_image = ReferenceConvolve<int32_t>(c, &source[from], c.integer_weights);
    sums.insert(sums.end(), of_image.begin(), of_image.end());
  }
  return sums;
}

TEST(Im2colTest, RowsHaveTheSumsOfTheConvolution) {
  constexpr int kBatch = 3;
  for (const Convolution& c : {Of(3, 1, 2, 2), Of(3, 2, 4, 2), Of(1, 2, 5, 3), Of(3, 1, 4, 4)}) {
    ASSERT_TRUE(PrefersIm2col(c));
    std::vector<uint8_t> source(size_t(kBatch) * c.in_height * c.in_width * c.in_channels);
    std::mt19937 random(6);
    for (uint8_t& value : source) value = static_cast<uint8_t>(random());
    const Convolution rows = Im2colConvolution(c);
    EXPECT_TRUE(rows.is_pointwise());
    std::vector<uint8_t> windows(Im2colBytes(c, kBatch), 0xa5);
    for (const int threads : {1, 2}) {
      Im2col(c, kBatch, source.data(), windows.data(), threads);
      EXPECT_EQ(Sums(rows, windows), Sums(c, source));
    }
  }
}

TEST(Im2colTest, IsNotWorthItForEveryLayer) {
  EXPECT_FALSE(PrefersIm2col(Of(1, 1, 2, 2))) << "a matrix product already";
  EXPECT_FALSE(PrefersIm2col(Of(3, 1, 7, 7))) << "many positions";
  Convolution few = Of(3, 1, 2, 2);
  few.in_channels = 16;
  EXPECT_FALSE(PrefersIm2col(few)) << "little to multiply";
}

}  // namespace
}  // namespace cytopress
