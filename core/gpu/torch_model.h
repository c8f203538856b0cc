// A network for inference as LibTorch computes it, on any of its devices.
#ifndef CYTOPRESS_CORE_GPU_TORCH_MODEL_H_
#define CYTOPRESS_CORE_GPU_TORCH_MODEL_H_

#include <torch/types.h>

#include <vector>

#include "core/engine/dense_model.h"

namespace cytopress {

// Thread-safe once made. Throws c10::Error.
class TorchModel {
 public:
  // Convolutions are computed in `type`, channels_last; the classifier and the softmax in FP32.
  // REQUIRES: the model's arithmetic is kFp32.
  TorchModel(const DenseModel& model, torch::Device device, torch::ScalarType type);

  // pixels: uint8 [batch, height, width, channels] on the device. The softmax, FP32 [batch,
  // classes]. Waits for nothing, so that a CUDA graph can record it.
  torch::Tensor Classify(const torch::Tensor& pixels) const;

 private:
  // What is left of a layer once its weights are on the device.
  struct Step {
    Layer layer;
    bool unread = false;
    torch::Tensor weight;  // of a convolution, as the following
    torch::Tensor bias;
    bool covers_input = false;  // the kernel has become a matrix product over the whole map
    bool adds_residual = false;
    std::vector<size_t> last_reads;      // the layers whose outputs nobody reads after it
    std::vector<int64_t> padding;        // symmetric: rows, columns
    std::vector<int64_t> extra_padding;  // left, right, top, bottom; empty: none
  };

  torch::Tensor Convolve(const Step& step, const torch::Tensor& input) const;

  const torch::ScalarType type_;
  std::vector<Step> steps_;
  torch::Tensor input_scale_;  // [1, channels, 1, 1]
  torch::Tensor input_shift_;
  torch::Tensor classifier_weight_;  // [features, classes]
  torch::Tensor classifier_bias_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_GPU_TORCH_MODEL_H_
