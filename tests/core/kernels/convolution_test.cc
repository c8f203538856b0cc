#include "core/kernels/convolution.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/core/kernels/reference.h"

namespace cytopress {
namespace {

struct Case {
  int size;
  int kernel;
  int stride;
  int kernel_after;
  bool matrix_product_after;
};

Convolution MakeConvolution(const Case& c, std::mt19937& random) {
  Convolution convolution;
  convolution.in_channels = 5;
  convolution.out_channels = 3;
  convolution.in_height = convolution.in_width = c.size;
  convolution.kernel_height = convolution.kernel_width = c.kernel;
  convolution.stride = c.stride;
  convolution.pad_top = convolution.pad_left = c.kernel / 2;
  convolution.out_height = convolution.out_width =
      (c.size + c.kernel / 2 * 2 - c.kernel) / c.stride + 1;
  for (int i = 0; i < 5 * 3 * c.kernel * c.kernel; ++i) {
    convolution.integer_weights.push_back(static_cast<int8_t>(random() % 256));
  }
  return convolution;
}

class SimplifyTest : public testing::TestWithParam<Case> {};

TEST_P(SimplifyTest, ComputesTheSame) {
  std::mt19937 random(1);
  const Convolution original = MakeConvolution(GetParam(), random);
  std::vector<uint8_t> input(GetParam().size * GetParam().size * original.in_channels);
  for (uint8_t& value : input) value = static_cast<uint8_t>(random());
  Convolution simple = original;
  Simplify(simple);
  EXPECT_EQ(ReferenceConvolve<int32_t>(simple, input.data(), simple.integer_weights),
            ReferenceConvolve<int32_t>(original, input.data(), original.integer_weights));
  EXPECT_EQ(simple.kernel_height, GetParam().kernel_after);
  EXPECT_EQ(simple.kernel_width, GetParam().kernel_after);
  EXPECT_EQ(simple.is_pointwise(), GetParam().matrix_product_after);
  // oneDNN computes the output's size from these.
  const int padded = simple.in_height + simple.pad_top + simple.pad_bottom();
  EXPECT_EQ((padded - simple.kernel_height) / simple.stride + 1, simple.out_height);
}

INSTANTIATE_TEST_SUITE_P(Shapes, SimplifyTest,
                         testing::Values(Case{7, 3, 1, 3, false},  // nothing to leave out
                                         Case{7, 1, 1, 1, true},   // a matrix product as it is
                                         Case{7, 1, 2, 1, false},  // skips pixels
                                         Case{8, 7, 2, 7, false},  // the stem
                                         Case{2, 3, 1, 3, false},  // every tap meets some pixel
                                         Case{2, 3, 2, 1,
                                              true},  // 2x2 of the taps, which is the whole input
                                         Case{1, 3, 1, 1, true},  // only the middle tap
                                         Case{1, 3, 2, 1, true}, Case{3, 3, 2, 3, false},
                                         Case{1, 1, 2, 1, true}));  // a stride that leads nowhere

TEST(ConvolutionTest, DataTypeBytes) {
  EXPECT_EQ(DataTypeBytes(DataType::kUint8), 1u);
  EXPECT_EQ(DataTypeBytes(DataType::kInt8), 1u);
  EXPECT_EQ(DataTypeBytes(DataType::kFloat32), 4u);
}

}  // namespace
}  // namespace cytopress
