#include "core/compression/product_convolution.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

struct Case {
  int64_t side, kernel, stride, padding;
};

class ProductConvolutionTest : public testing::TestWithParam<Case> {};

TEST_P(ProductConvolutionTest, EqualsLibTorchsWithItsGradients) {
  const Case& c = GetParam();
  torch::manual_seed(1);
  torch::Tensor results[2][3];
  const torch::Tensor input =
      torch::randn({3, 5, c.side, c.side}).contiguous(at::MemoryFormat::ChannelsLast);
  const torch::Tensor weight = torch::randn({7, 5, c.kernel, c.kernel});
  for (int product = 0; product < 2; ++product) {
    const torch::Tensor x = input.clone().requires_grad_(), w = weight.clone().requires_grad_();
    const torch::Tensor y = product != 0 ? ProductConvolution(x, w, c.stride, c.padding)
                                         : at::conv2d(x, w, {}, c.stride, c.padding);
    (y * y).sum().backward();
    results[product][0] = y;
    results[product][1] = x.grad();
    results[product][2] = w.grad();
  }
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(results[0][i].sizes(), results[1][i].sizes());
    EXPECT_TRUE(results[0][i].allclose(results[1][i], 1e-4, 1e-3)) << "result " << i;
  }
  EXPECT_TRUE(results[1][0].is_contiguous(at::MemoryFormat::ChannelsLast));
}

INSTANTIATE_TEST_SUITE_P(Shapes, ProductConvolutionTest,
                         testing::Values(Case{4, 1, 1, 0}, Case{7, 1, 2, 0}, Case{4, 3, 1, 1},
                                         Case{7, 3, 2, 1}, Case{2, 3, 1, 1}, Case{1, 3, 1, 1},
                                         Case{9, 7, 2, 3}));

TEST(PrefersProductTest, SmallMapsInFp32WhileTraining) {
  const torch::Tensor weight = torch::zeros({8, 4, 3, 3});
  EXPECT_TRUE(PrefersProduct(torch::zeros({2, 4, 4, 4}), weight, 1, 1));
  EXPECT_TRUE(PrefersProduct(torch::zeros({2, 4, 7, 7}), weight, 2, 1));
  EXPECT_FALSE(PrefersProduct(torch::zeros({2, 4, 7, 7}), weight, 1, 1));
  EXPECT_FALSE(PrefersProduct(torch::zeros({2, 4, 4, 4}).to(torch::kBFloat16), weight, 1, 1));
  torch::NoGradGuard no_grad;
  EXPECT_FALSE(PrefersProduct(torch::zeros({2, 4, 4, 4}), weight, 1, 1)) << "nothing to train";
}

}  // namespace
}  // namespace cytopress
