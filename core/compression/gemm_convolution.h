// A convolution of small maps as a matrix product (GEMM).
#ifndef CYTOPRESS_CORE_COMPRESSION_GEMM_CONVOLUTION_H_
#define CYTOPRESS_CORE_COMPRESSION_GEMM_CONVOLUTION_H_

#include <torch/torch.h>

#include <cstdint>

namespace cytopress {

// at::conv2d(input, weight, {}, stride, padding) with its gradients, through an im2col matrix and
// BLAS (Chellapilla et al., "High Performance Convolutional Neural Networks for Document
// Processing", 2006). input: FP32 or BF16 [N, C, H, W], channels_last; weight: FP32 [O, C, K, K];
// returns [N, O, H', W'], channels_last, in FP32, or under autocast in BF16, which it then computes
// in. Deterministic for a number of threads. Thread-safe.
torch::Tensor GemmConvolution(const torch::Tensor& input, const torch::Tensor& weight,
                              int64_t stride, int64_t padding);

// Whether GemmConvolution is the faster way for these arguments, in training on a CPU: in FP32
// for outputs of at most 4x4, in BF16 of at most 7x7, and 14x14 of 1x1 kernels. oneDNN's
// convolutions block along rows, which such maps leave mostly empty. Measured over the layers of a
// ResNet-50 at 28x28: with AVX2 the product is up to five times as fast on those maps and slower on
// larger ones; with AMX, training as a whole is 1.8 times as fast.
bool PrefersGemm(const torch::Tensor& input, const torch::Tensor& weight, int64_t stride,
                 int64_t padding);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_GEMM_CONVOLUTION_H_
