#include "core/compression/precision.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/device.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

void SetAutocast(torch::Device device, bool enabled) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_dtype(device.type(), at::kBFloat16);
  at::autocast::set_autocast_enabled(device.type(), enabled);
#else
  if (device.is_cuda()) {
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(enabled);
  } else {
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(enabled);
  }
#endif
}

bool CpuHasBfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace

bool CpuHasAvx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool CpuHasAvx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

absl::StatusOr<bool> UseBfloat16(const std::string& precision, torch::Device device) {
  if (precision == "fp32") return false;
  if (precision == "bf16") return true;
  if (precision.empty() || precision == "auto") return device.is_cuda() || CpuHasBfloat16();
  return absl::InvalidArgumentError(
      absl::StrCat("precision: '", precision, "' is unknown; use auto, fp32 or bf16"));
}

std::string PrecisionOfScores(const v1::Recipe& recipe) {
  if (recipe.has_train()) return recipe.train().precision();
  if (recipe.has_finetune()) return recipe.finetune().precision();
  return recipe.quantize().aware().precision();
}

AutocastScope::AutocastScope(torch::Device device, bool enabled)
    : device_(device), enabled_(enabled) {
  if (enabled_) SetAutocast(device_, true);
}

AutocastScope::~AutocastScope() {
  if (!enabled_) return;
  at::autocast::clear_cache();
  SetAutocast(device_, false);
}

bool AutocastEnabled(torch::Device device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(device.type());
#else
  return device.is_cuda() ? at::autocast::is_enabled() : at::autocast::is_cpu_enabled();
#endif
}

absl::StatusOr<torch::Device> ParseDevice(const std::string& device) {
  if (device.empty()) return torch::Device(torch::kCPU);
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string name, ParseDeviceName(device));
  const std::optional<int> index = GpuIndex(name);
  if (!index.has_value()) return torch::Device(torch::kCPU);
  if (!torch::cuda::is_available()) {
    return absl::FailedPreconditionError(
        absl::StrCat("device: '", device,
                     "' was asked for, but this LibTorch finds no CUDA device;"
                     " use cpu, or a worker built against a CUDA LibTorch"));
  }
  if (*index >= static_cast<int>(torch::cuda::device_count())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "device: '", device, "' was asked for; there are ", torch::cuda::device_count()));
  }
  return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(*index));
}

absl::Status CheckDevice(const std::string& device) {
  const std::optional<int> gpu = GpuIndex(device);
  if (!gpu.has_value()) return absl::OkStatus();
  try {
    torch::cuda::synchronize(*gpu);
    return absl::OkStatus();
  } catch (const c10::Error& error) {
    return absl::UnavailableError(
        absl::StrCat(device, " cannot be used by this process: ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat(device, " cannot be used by this process: ", error.what()));
  }
}

void ConfigureTorch(int threads) {
  if (CpuHasAvx512()) setenv("ATEN_CPU_CAPABILITY", "avx512", /*overwrite=*/0);
  at::set_num_threads(threads > 0 ? threads
                                  : static_cast<int>(std::thread::hardware_concurrency()));
  at::globalContext().setBenchmarkCuDNN(true);  // the fastest kernels for every shape
}

}  // namespace cytopress
