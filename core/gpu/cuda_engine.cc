#include "core/gpu/cuda_engine.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "core/base/out_of_memory.h"
#include "core/base/status_macros.h"
#include "core/engine/batch_engine.h"
#include "core/engine/dense_model.h"
#include "core/gpu/torch_model.h"

namespace cytopress {
namespace {

// Counted in FP32, of which FP16 takes half: a map of 128 images at 224x224 pixels has 411 MB.
constexpr BatchLimits kLimits = {/*images=*/128, /*map_bytes=*/int64_t{512} << 20};
// cuDNN chooses and compiles its kernels in the first passes, which a graph must not record.
constexpr int kWarmUpPasses = 3;

// Held while a graph is recorded: what others allocate or free on the device meanwhile could spoil
// it.
ABSL_CONST_INIT absl::Mutex recording(absl::kConstInit);

// After an error: whether it stays. A kernel's illegal access or a device that fell off its bus
// ends what CUDA does for this process; every call answers with that error from then on.
bool IsLost(int gpu) {
  absl::MutexLock lock(&recording);
  // Forgets an error that does not stay.
  (void)cudaGetLastError();
  return cudaSetDevice(gpu) != cudaSuccess || cudaDeviceSynchronize() != cudaSuccess;
}

// Memory may be free later, so that it is worth another try.
absl::Status Failed(int gpu, const std::exception& error) {
  const std::string message = absl::StrCat("cuda:", gpu, " failed: ", error.what());
  if (SaysOutOfMemory(error.what())) return absl::ResourceExhaustedError(message);
  return IsLost(gpu) ? absl::UnavailableError(message) : absl::InternalError(message);
}

// A stream for one owner. LibTorch's pool hands out the same 32 in turns, so that what one engine
// computes could be recorded into the graph of another. They are handed on and never destroyed:
// cuBLAS's workspaces, which LibTorch keeps for every stream that it has seen, serve again.
class OwnStream {
 public:
  // Throws c10::Error.
  explicit OwnStream(c10::DeviceIndex gpu) : gpu_(gpu), stream_(Take(gpu)) {}
  ~OwnStream() {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    const bool known = cudaStreamIsCapturing(stream_, &capture) == cudaSuccess;
    // One that still records is of no use to anybody.
    if (!known || capture != cudaStreamCaptureStatusNone) return;
    absl::MutexLock lock(&mutex_);
    (*free_)[gpu_].push_back(stream_);
  }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

  c10::cuda::CUDAStream get() const { return c10::cuda::getStreamFromExternal(stream_, gpu_); }

 private:
  static cudaStream_t Take(c10::DeviceIndex gpu) {
    absl::MutexLock lock(&mutex_);
    std::vector<cudaStream_t>& free = (*free_)[gpu];
    if (free.empty()) {
      const c10::cuda::CUDAGuard guard(gpu);
      int lowest = 0;
      int highest = 0;
      C10_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
      cudaStream_t made = nullptr;
      C10_CUDA_CHECK(cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking, highest));
      free.push_back(made);
    }
    cudaStream_t const stream = free.back();
    free.pop_back();
    return stream;
  }

  ABSL_CONST_INIT static inline absl::Mutex mutex_{absl::kConstInit};
  using ByGpu = std::map<c10::DeviceIndex, std::vector<cudaStream_t>>;
  static inline ByGpu* const free_ ABSL_PT_GUARDED_BY(mutex_) = new ByGpu;

  const c10::DeviceIndex gpu_;
  cudaStream_t const stream_;
};

using GraphPool = decltype(at::cuda::graph_pool_handle());

void BeginCapture(GraphPool pool, at::cuda::CUDAGraph& graph) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1)
  // Engines of other models go on meanwhile: what they do is no part of this.
  graph.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
#else
  graph.capture_begin(pool);
#endif
}

// After an error: otherwise the stream would record for ever, and the allocator keep memory for it.
void AbandonCapture(at::cuda::CUDAGraph& graph) {
  try {
    graph.capture_end();
  } catch (const std::exception&) {
    // The first error says what went wrong.
  }
}

class CudaEngine : public BatchEngine {
 public:
  // `torch_model` is `model` on that GPU. Records the graphs of all batch sizes. Throws c10::Error.
  CudaEngine(std::shared_ptr<const DenseModel> model, std::shared_ptr<const TorchModel> torch_model,
             int gpu)
      : BatchEngine(std::move(model), /*threads=*/1, kLimits),
        torch_model_(std::move(torch_model)),
        gpu_(gpu),
        stream_(static_cast<c10::DeviceIndex>(gpu)) {
    const c10::cuda::CUDAStreamGuard guard(stream_.get());  // of its device, too
    const torch::NoGradGuard no_grad;
    absl::MutexLock lock(&recording);
    for (int batch = preferred_batch(); batch >= 1; batch /= 2) WarmUp(batch, plans_[batch]);
    stream_.get().synchronize();
    // Graphs allocate from a pool of their own: what the passes have left would lie idle. Once,
    // since it makes the whole device wait.
    c10::cuda::CUDACachingAllocator::emptyCache();
    // The largest first: its memory serves the others.
    for (auto plan = plans_.rbegin(); plan != plans_.rend(); ++plan) Record(plan->second);
  }

  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    absl::Status status = BatchEngine::Classify(pixels, count, probabilities);
    const bool lost = absl::IsInternal(status) && IsLost(gpu_);
    return lost ? absl::UnavailableError(status.message()) : status;
  }
  absl::StatusOr<std::unique_ptr<Engine>> Clone() override {
    try {
      return std::make_unique<CudaEngine>(shared_model(), torch_model_, gpu_);
    } catch (const std::exception& error) {
      return Failed(gpu_, error);
    }
  }
  std::string name() const override { return "torch-cuda-fp16"; }

 private:
  // The pass of one batch size, recorded, between buffers that stay where they are.
  struct GraphPlan {
    torch::Tensor host_pixels;  // pinned, so that copies need no copy of their own
    torch::Tensor pixels;
    torch::Tensor probabilities;
    torch::Tensor host_probabilities;  // pinned
    at::cuda::CUDAGraph graph;
  };

  void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) override {
    const c10::cuda::CUDAStream stream = stream_.get();
    const c10::cuda::CUDAStreamGuard guard(stream);
    const torch::NoGradGuard no_grad;
    GraphPlan& plan = plans_.at(batch);
    std::memcpy(plan.host_pixels.data_ptr(), pixels, count * image_bytes());
    plan.pixels.copy_(plan.host_pixels, /*non_blocking=*/true);
    plan.graph.replay();
    plan.host_probabilities.copy_(plan.probabilities, /*non_blocking=*/true);
    stream.synchronize();
    std::memcpy(probabilities, plan.host_probabilities.data_ptr(),
                sizeof(float) * count * classes());
  }

  // Makes the buffers, and passes that no graph is to record.
  void WarmUp(int batch, GraphPlan& plan) {
    const NetworkSpec& spec = model().network.spec;
    const std::vector<int64_t> shape = {batch, spec.input_height, spec.input_width,
                                        spec.input_channels};
    const auto pinned = torch::TensorOptions().pinned_memory(true);
    plan.host_pixels = torch::zeros(shape, pinned.dtype(torch::kUInt8));
    plan.host_probabilities = torch::zeros({batch, classes()}, pinned.dtype(torch::kFloat32));
    plan.pixels =
        torch::zeros(shape, torch::TensorOptions(stream_.get().device()).dtype(torch::kUInt8));
    for (int pass = 0; pass < kWarmUpPasses; ++pass) torch_model_->Classify(plan.pixels);
  }

  void Record(GraphPlan& plan) {
    BeginCapture(pool_, plan.graph);
    try {
      plan.probabilities = torch_model_->Classify(plan.pixels);
    } catch (...) {
      AbandonCapture(plan.graph);
      throw;
    }
    plan.graph.capture_end();
  }

  const std::shared_ptr<const TorchModel> torch_model_;
  const int gpu_;
  const OwnStream stream_;  // outlives the plans, which have recorded it
  // Of all graphs together: only one of them runs at a time, and their results, which live on, are
  // none of each other's memory.
  const GraphPool pool_ = at::cuda::graph_pool_handle();
  std::map<int, GraphPlan> plans_;  // by batch size
};

// Onto the GPU, whose memory the device gets back with the last engine: LibTorch would keep it, and
// other processes lack it.
std::shared_ptr<const TorchModel> Upload(const DenseModel& model, int gpu) {
  const auto device = static_cast<c10::DeviceIndex>(gpu);
  const auto destroy = [device](const TorchModel* torch_model) {
    delete torch_model;
    absl::MutexLock lock(&recording);
    try {
      const c10::cuda::CUDAGuard guard(device);
      c10::cuda::CUDACachingAllocator::emptyCache();
    } catch (const std::exception&) {
      // A device that is lost has none to give.
    }
  };
  std::shared_ptr<const TorchModel> torch_model(
      new TorchModel(model, torch::Device(torch::kCUDA, device), torch::kFloat16), destroy);
  // Engines' streams do not wait for this one.
  c10::cuda::getCurrentCUDAStream(device).synchronize();
  return torch_model;
}

}  // namespace

absl::Status CheckGpu(int gpu) {
  const int gpus = static_cast<int>(torch::cuda::device_count());
  if (gpu >= 0 && gpu < gpus) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("there is no cuda:", gpu, "; LibTorch sees ", gpus,
                   " GPUs; name one of those, or see what nvidia-smi says of this one"));
}

absl::StatusOr<std::unique_ptr<Engine>> CreateCudaEngine(const Artifact& artifact, int gpu) {
  CYTOPRESS_RETURN_IF_ERROR(CheckGpu(gpu));
  CYTOPRESS_ASSIGN_OR_RETURN(DenseModel model, BuildDenseModel(artifact, DenseArithmetic::kFp32));
  try {
    std::shared_ptr<const TorchModel> torch_model = Upload(model, gpu);
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
