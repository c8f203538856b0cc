#include "core/compression/checkpoint.h"

#include <c10/util/Exception.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <new>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/out_of_memory.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr int64_t kMaxCheckpointBytes = int64_t{16} << 30;

bool IsOutOfMemory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  return torch_error != nullptr && SaysOutOfMemory(torch_error->what_without_backtrace());
}

}  // namespace

absl::Status SaveTensors(const TensorTable& tensors, const std::string& path) {
  c10::Dict<std::string, at::Tensor> dictionary;
  for (const auto& [name, tensor] : tensors) {
    dictionary.insert(name, tensor.detach().to(torch::kCPU));
  }
  const std::vector<char> bytes = torch::jit::pickle_save(dictionary);
  return WriteFileAtomically(path, absl::string_view(bytes.data(), bytes.size()));
}

bool WarnedOfNoRoom(const absl::Status& saved) {
  if (!absl::IsResourceExhausted(saved)) return false;
  spdlog::warn("going on without a new checkpoint, with that of before: {}", saved.ToString());
  return true;
}

absl::StatusOr<TensorTable> LoadTensors(const std::string& path) try {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxCheckpointBytes));
  TensorTable tensors;
  const c10::IValue value =
      torch::jit::pickle_load(std::vector<char>(content.begin(), content.end()));
  for (const auto& entry : value.toGenericDict()) {
    tensors[entry.key().toStringRef()] = entry.value().toTensor();
  }
  return tensors;
} catch (const std::exception& error) {
  if (IsOutOfMemory(error)) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory to read the checkpoint ", path));
  }
  return absl::DataLossError(
      absl::StrCat("the checkpoint ", path, " cannot be read: ", error.what()));
}

absl::Status SetAside(const std::string& path, absl::string_view why) {
  const std::string aside = path + ".bad";
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot rename ", path, " to ", aside));
  }
  spdlog::warn("starting over without {}, which is {} now: {}", path, aside, std::string(why));
  return absl::OkStatus();
}

void PutAll(const std::string& prefix, const TensorTable& source, TensorTable& table) {
  for (const auto& [name, tensor] : source) table[prefix + name] = tensor;
}

absl::Status GetAll(const std::string& prefix, const TensorTable& table,
                    const TensorTable& target) {
  for (const auto& [name, tensor] : target) {
    const auto it = table.find(prefix + name);
    if (it == table.end() || it->second.sizes() != tensor.sizes()) {
      return absl::DataLossError(
          absl::StrCat("the checkpoint has no ", prefix, name, " of the right shape"));
    }
  }
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : target) {
    torch::Tensor destination = tensor;
    destination.copy_(table.at(prefix + name));
  }
  return absl::OkStatus();
}

}  // namespace cytopress
