#include "core/compression/sgd.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

// LibTorch's own optimizer is the judge.
TEST(NesterovSgdTest, EqualsLibTorchs) {
  torch::manual_seed(1);
  const torch::Tensor start_matrix = torch::randn({3, 4}), start_bias = torch::randn({4});
  const torch::Tensor input = torch::randn({8, 3});
  auto loss = [&](const torch::Tensor& matrix, const torch::Tensor& bias) {
    return (input.matmul(matrix) + bias).pow(2).mean();
  };
  torch::Tensor matrix = start_matrix.clone().requires_grad_(),
                bias = start_bias.clone().requires_grad_();
  NesterovSgd ours({{"m", matrix}, {"b", bias}}, {/*momentum=*/0.9, /*weight_decay=*/0.01});
  torch::Tensor matrix2 = start_matrix.clone().requires_grad_(),
                bias2 = start_bias.clone().requires_grad_();
  torch::optim::SGD matrix_sgd(
      {matrix2}, torch::optim::SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(0.01));
  torch::optim::SGD bias_sgd({bias2}, torch::optim::SGDOptions(0.1).momentum(0.9).nesterov(true));
  for (int step = 0; step < 5; ++step) {
    ours.ZeroGradients();
    loss(matrix, bias).backward();
    ours.Step(0.1);
    matrix_sgd.zero_grad();
    bias_sgd.zero_grad();
    loss(matrix2, bias2).backward();
    matrix_sgd.step();
    bias_sgd.step();
  }
  EXPECT_TRUE(matrix.allclose(matrix2, 1e-5, 1e-6));
  EXPECT_TRUE(bias.allclose(bias2, 1e-5, 1e-6));
  EXPECT_FALSE(matrix.allclose(start_matrix));
}

}  // namespace
}  // namespace cytopress
