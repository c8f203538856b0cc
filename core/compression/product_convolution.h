// A convolution of small maps as a matrix product.
#ifndef CYTOPRESS_CORE_COMPRESSION_PRODUCT_CONVOLUTION_H_
#define CYTOPRESS_CORE_COMPRESSION_PRODUCT_CONVOLUTION_H_

#include <torch/torch.h>

#include <cstdint>

namespace cytopress {

// at::conv2d(input, weight, {}, stride, padding) with its gradients, through an im2col matrix and
// BLAS (Chellapilla et al., "High Performance Convolutional Neural Networks for Document
// Processing", 2006). input: float [N, C, H, W], channels_last; weight: float [O, C, K, K]; returns
// float [N, O, H', W'], channels_last. Deterministic for a number of threads. Thread-safe.
torch::Tensor ProductConvolution(const torch::Tensor& input, const torch::Tensor& weight,
                                 int64_t stride, int64_t padding);

// Whether ProductConvolution is the faster way for these arguments: training in FP32 on a CPU,
// outputs of at most 4x4. oneDNN's convolutions block along rows, which such maps leave mostly
// empty; measured over the layers of a ResNet-50 at 28x28 with AVX2, the product is up to five
// times as fast on them and slower on larger ones.
bool PrefersProduct(const torch::Tensor& input, const torch::Tensor& weight, int64_t stride,
                    int64_t padding);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_PRODUCT_CONVOLUTION_H_
