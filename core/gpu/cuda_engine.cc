#include "core/gpu/cuda_engine.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/torch.h>

#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/out_of_memory.h"
#include "core/base/status_macros.h"
#include "core/engine/batch_engine.h"
#include "core/engine/dense_model.h"
#include "core/gpu/torch_model.h"

namespace cytopress {
namespace {

constexpr int kLargestBatch = 128;
// cuDNN chooses and compiles its kernels in the first passes, which a graph must not record.
constexpr int kWarmUpPasses = 3;

// Memory may be free later, so that it is worth another try.
absl::Status Failed(int gpu, const std::exception& error) {
  const std::string message = absl::StrCat("cuda:", gpu, " failed: ", error.what());
  return SaysOutOfMemory(error.what()) ? absl::ResourceExhaustedError(message)
                                       : absl::InternalError(message);
}

class CudaEngine : public BatchEngine {
 public:
  // `torch_model` is `model` on that GPU.
  CudaEngine(std::shared_ptr<const DenseModel> model, std::shared_ptr<const TorchModel> torch_model,
             int gpu)
      : BatchEngine(std::move(model), /*threads=*/1, kLargestBatch),
        torch_model_(std::move(torch_model)),
        gpu_(gpu),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true,
                                             static_cast<c10::DeviceIndex>(gpu))) {}

  absl::StatusOr<std::unique_ptr<Engine>> Another() override {
    try {
      return std::make_unique<CudaEngine>(shared_model(), torch_model_, gpu_);
    } catch (const std::exception& error) {
      return Failed(gpu_, error);
    }
  }
  std::string name() const override { return "torch-cuda-fp16"; }

 private:
  // The pass of one batch size, recorded, between buffers that stay where they are.
  struct Plan {
    torch::Tensor host_pixels;  // pinned, so that copies need no copy of their own
    torch::Tensor pixels;
    torch::Tensor probabilities;
    torch::Tensor host_probabilities;  // pinned
    at::cuda::CUDAGraph graph;
  };

  void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) override {
    const c10::cuda::CUDAStreamGuard guard(stream_);  // of its device, too
    const torch::NoGradGuard no_grad;
    Plan& plan = PlanFor(batch);
    std::memcpy(plan.host_pixels.data_ptr(), pixels, count * image_bytes());
    plan.pixels.copy_(plan.host_pixels, /*non_blocking=*/true);
    plan.graph.replay();
    plan.host_probabilities.copy_(plan.probabilities, /*non_blocking=*/true);
    stream_.synchronize();
    std::memcpy(probabilities, plan.host_probabilities.data_ptr(),
                sizeof(float) * count * classes());
  }

  Plan& PlanFor(int batch) {
    const auto [it, is_new] = plans_.try_emplace(batch);
    if (is_new) {
      try {
        Record(batch, it->second);
      } catch (const std::exception& error) {
        const bool out_of_memory = SaysOutOfMemory(error.what());
        plans_.erase(it);
        if (out_of_memory) throw std::bad_alloc();  // as BatchEngine knows it
        throw;
      }
    }
    return it->second;
  }

  void Record(int batch, Plan& plan) {
    const NetworkSpec& spec = model().network.spec;
    const std::vector<int64_t> shape = {batch, spec.input_height, spec.input_width,
                                        spec.input_channels};
    const auto pinned = torch::TensorOptions().pinned_memory(true);
    plan.host_pixels = torch::zeros(shape, pinned.dtype(torch::kUInt8));
    plan.host_probabilities = torch::zeros({batch, classes()}, pinned.dtype(torch::kFloat32));
    plan.pixels = torch::zeros(shape, torch::TensorOptions(stream_.device()).dtype(torch::kUInt8));
    for (int pass = 0; pass < kWarmUpPasses; ++pass) torch_model_->Classify(plan.pixels);
    stream_.synchronize();
    plan.graph.capture_begin();
    plan.probabilities = torch_model_->Classify(plan.pixels);
    plan.graph.capture_end();
  }

  const std::shared_ptr<const TorchModel> torch_model_;
  const int gpu_;
  const c10::cuda::CUDAStream stream_;
  std::map<int, Plan> plans_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> CreateCudaEngine(const Artifact& artifact, int gpu) {
  const int gpus = static_cast<int>(torch::cuda::device_count());
  if (gpu < 0 || gpu >= gpus) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no cuda:", gpu, "; LibTorch sees ", gpus, " GPUs"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(DenseModel model, BuildDenseModel(artifact, DenseArithmetic::kFp32));
  try {
    auto torch_model = std::make_shared<const TorchModel>(
        model, torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(gpu)), torch::kFloat16);
    // They are on the device now.
    for (Convolution& convolution : model.convolutions) {
      std::vector<float>().swap(convolution.float_weights);
    }
    return std::make_unique<CudaEngine>(std::make_shared<const DenseModel>(std::move(model)),
                                        std::move(torch_model), gpu);
  } catch (const std::exception& error) {
    return Failed(gpu, error);
  }
}

}  // namespace cytopress
