#include "core/compression/gemm_convolution.h"

#include <gtest/gtest.h>

#include "core/compression/precision.h"

namespace cytopress {
namespace {

struct Case {
  int64_t side, kernel, stride, padding;
};

class GemmConvolutionTest : public testing::TestWithParam<Case> {};

TEST_P(GemmConvolutionTest, EqualsLibTorchsWithItsGradients) {
  const Case& c = GetParam();
  torch::manual_seed(1);
  torch::Tensor results[2][3];
  const torch::Tensor input =
      torch::randn({3, 5, c.side, c.side}).contiguous(at::MemoryFormat::ChannelsLast);
  const torch::Tensor weight = torch::randn({7, 5, c.kernel, c.kernel});
  for (int product = 0; product < 2; ++product) {
    const torch::Tensor x = input.clone().requires_grad_(), w = weight.clone().requires_grad_();
    const torch::Tensor y = product != 0 ? GemmConvolution(x, w, c.stride, c.padding)
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

TEST_P(GemmConvolutionTest, UnderAutocastEqualsItToThePrecisionOfBfloat16) {
  const Case& c = GetParam();
  torch::manual_seed(1);
  const torch::Tensor input =
      torch::randn({3, 5, c.side, c.side}).contiguous(at::MemoryFormat::ChannelsLast);
  const torch::Tensor weight = torch::randn({7, 5, c.kernel, c.kernel});
  const torch::Tensor x = input.clone().requires_grad_(), w = weight.clone().requires_grad_();
  const torch::Tensor expected = at::conv2d(x, w, {}, c.stride, c.padding);
  expected.sum().backward();
  const torch::Tensor x2 = input.clone().requires_grad_(), w2 = weight.clone().requires_grad_();
  torch::Tensor y;
  {
    AutocastScope autocast(torch::kCPU, true);
    y = GemmConvolution(x2, w2, c.stride, c.padding);
  }
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  y.to(torch::kFloat32).sum().backward();
  EXPECT_EQ(w2.grad().scalar_type(), torch::kFloat32);
  EXPECT_EQ(x2.grad().scalar_type(), torch::kFloat32);
  const auto close = [](const torch::Tensor& a, const torch::Tensor& b) {
    return (a.to(torch::kFloat32) - b).norm().item<double>() < 0.03 * b.norm().item<double>();
  };
  EXPECT_TRUE(close(y, expected));
  EXPECT_TRUE(close(x2.grad(), x.grad()));
  EXPECT_TRUE(close(w2.grad(), w.grad()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmConvolutionTest,
                         testing::Values(Case{4, 1, 1, 0}, Case{7, 1, 2, 0}, Case{4, 3, 1, 1},
                                         Case{7, 3, 2, 1}, Case{2, 3, 1, 1}, Case{1, 3, 1, 1},
                                         Case{9, 7, 2, 3}));

TEST(PrefersGemmTest, SmallMapsWhileTraining) {
  const torch::Tensor weight = torch::zeros({8, 4, 3, 3}), pointwise = torch::zeros({8, 4, 1, 1});
  const auto map = [](int64_t side) { return torch::zeros({2, 4, side, side}); };
  EXPECT_TRUE(PrefersGemm(map(4), weight, 1, 1));
  EXPECT_TRUE(PrefersGemm(map(7), weight, 2, 1));
  EXPECT_FALSE(PrefersGemm(map(7), weight, 1, 1));
  EXPECT_FALSE(PrefersGemm(map(7), pointwise, 1, 0));
  {
    AutocastScope autocast(torch::kCPU, true);
    EXPECT_TRUE(PrefersGemm(map(7), weight, 1, 1));
    EXPECT_FALSE(PrefersGemm(map(14), weight, 1, 1));
    EXPECT_TRUE(PrefersGemm(map(14), pointwise, 1, 0));
    EXPECT_FALSE(PrefersGemm(map(28), pointwise, 1, 0));
  }
  torch::NoGradGuard no_grad;
  EXPECT_FALSE(PrefersGemm(map(4), weight, 1, 1)) << "nothing to train";
}

}  // namespace
}  // namespace cytopress
