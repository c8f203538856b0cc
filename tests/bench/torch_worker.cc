#include "tests/bench/torch_worker.h"

#include <dlfcn.h>
#include <torch/torch.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "tests/bench/memory.h"
#include "tests/bench/torch_models.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

torch::Tensor NormalizedImages(const Artifact& artifact, const std::vector<uint8_t>& pixels) {
  const NetworkSpec& spec = artifact.network;
  const int64_t image = int64_t{spec.input_height} * spec.input_width * spec.input_channels;
  std::vector<float> values;
  for (size_t start = 0; start < pixels.size(); start += image) {
    const std::vector<float> one = Normalize(artifact.preprocessing, &pixels[start]);
    values.insert(values.end(), one.begin(), one.end());
  }
  const int64_t count = static_cast<int64_t>(pixels.size()) / image;
  return torch::from_blob(values.data(),
                          {count, spec.input_height, spec.input_width, spec.input_channels})
      .clone()
      .permute({0, 3, 1, 2});  // NHWC in memory is channels_last
}

absl::Status Answer(const TorchModel& model, const torch::Tensor& images, TimeKind time,
                    int64_t memory_before) {
  const auto run = [&](int64_t batch) { return model(images.narrow(0, 0, batch)); };
  std::string question;
  while (std::getline(std::cin, question)) {
    if (question == "first") {
      const torch::Tensor scores = run(1).contiguous();
      const float* values = scores.data_ptr<float>();
      std::cout << absl::StrJoin(values, values + scores.numel(), " ") << std::endl;
      continue;
    }
    if (question == "memory") {
      std::cout << ResidentBytes() - memory_before << std::endl;
      continue;
    }
    int batch = 0;
    if (!absl::SimpleAtoi(question, &batch) || batch < 1 || batch > images.size(0)) {
      return absl::InvalidArgumentError(absl::StrCat("asked for a batch of '", question, "'"));
    }
    const Stopwatch stopwatch(time);
    const torch::Tensor scores = run(batch);
    const double seconds = stopwatch.Seconds();
    std::cout << seconds << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace

std::string BlasLibrary() {
  Dl_info info;
  void* const symbol = dlsym(RTLD_DEFAULT, "sgemm_");
  if (symbol == nullptr || dladdr(symbol, &info) == 0) return "unknown";
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
  return error ? std::string(info.dli_fname) : file.string();
}

absl::Status RunTorchWorker(const std::string& model, const Artifact& artifact,
                            const std::vector<uint8_t>& pixels, int threads, TimeKind time) {
  try {
    at::set_num_threads(threads);
    const c10::InferenceMode inference;
    const torch::Tensor images = NormalizedImages(artifact, pixels);
    const int64_t memory = ResidentBytes();
    CYTOPRESS_ASSIGN_OR_RETURN(const TorchModel run, MakeTorchModel(model, artifact));
    return Answer(run, images, time, memory);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("LibTorch failed: ", error.what()));
  }
}

}  // namespace cytopress
