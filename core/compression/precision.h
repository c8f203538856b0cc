// Which arithmetic training runs in, across LibTorch 1.13 to 2.x.
#ifndef CYTOPRESS_CORE_COMPRESSION_PRECISION_H_
#define CYTOPRESS_CORE_COMPRESSION_PRECISION_H_

#include <torch/torch.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// "auto", "fp32" or "bf16" -> whether to compute in bfloat16. Auto: where the device has it in
// hardware (AVX512-BF16 or AMX; any CUDA device from Ampere on).
absl::StatusOr<bool> UseBfloat16(const std::string& precision, torch::Device device);

// What LibTorch scores with between the stages: the precision of the recipe's first round of
// training, so that its score and those before it compare. Empty (auto) without any.
std::string PrecisionOfScores(const v1::Recipe& recipe);

// Mixed precision by autocast while it lives: convolutions and products in bfloat16, sums in FP32.
// Does nothing when not enabled. One at a time a thread.
class AutocastScope {
 public:
  AutocastScope(torch::Device device, bool enabled);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  const torch::Device device_;
  const bool enabled_;
};

bool AutocastEnabled(torch::Device device);

// "cpu" or "cuda:N" -> a device that is there. FAILED_PRECONDITION says what is missing.
absl::StatusOr<torch::Device> ParseDevice(const std::string& device);

// Waits for what "cpu" or "cuda:N" computes. UNAVAILABLE where the device does not work, or is lost
// to this process: after a kernel's illegal access or a GPU that fell off its bus, every call of
// CUDA fails until the process ends.
absl::Status CheckDevice(const std::string& device);

// What the libraries below LibTorch have kernels for: AVX2 with FMA, and the AVX-512 of servers.
bool CpuHasAvx2();
bool CpuHasAvx512();

// Lets ATen use AVX-512 where the CPU has it (it stays at AVX2 on its own) and sets the number of
// threads; 0 = all cores. Call before the first tensor is made.
void ConfigureTorch(int threads);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_PRECISION_H_
