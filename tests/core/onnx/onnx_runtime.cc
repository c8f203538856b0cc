#include "tests/core/onnx/onnx_runtime.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr int64_t kMaxOutputBytes = int64_t{1} << 30;

int Shell(const std::string& command) { return std::system(command.c_str()); }

}  // namespace

std::string WhyNoOnnxRuntime() {
  if (Shell("node --version >/dev/null 2>&1") != 0) return "there is no node";
  if (!std::filesystem::exists(CYTOPRESS_NODE_MODULES "/onnxruntime-node")) {
    return "onnxruntime-node is not in " CYTOPRESS_NODE_MODULES
           "; tests/integration/onnx/install.sh installs it from a registry of npm";
  }
  return "";
}

absl::StatusOr<std::map<std::string, std::string>> RunOnnxRuntime(const std::string& model,
                                                                  absl::Span<const uint8_t> pixels,
                                                                  const std::string& folder) {
  const std::string outputs = folder + "/outputs";
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(outputs));
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(folder + "/model.onnx", model));
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(
      folder + "/pixels",
      absl::string_view(reinterpret_cast<const char*>(pixels.data()), pixels.size())));
  const int code = Shell(absl::StrCat(
      "NODE_PATH='" CYTOPRESS_NODE_MODULES "' node '" CYTOPRESS_ONNX_RUNTIME_JS "' classify '",
      folder, "/model.onnx' '", folder, "/pixels' '", outputs, "'"));
  if (code != 0) return absl::InternalError(absl::StrCat("ONNX Runtime failed: ", code));
  std::map<std::string, std::string> results;
  for (const auto& entry : std::filesystem::directory_iterator(outputs)) {
    CYTOPRESS_ASSIGN_OR_RETURN(results[entry.path().filename().string()],
                               ReadFile(entry.path().string(), kMaxOutputBytes));
  }
  return results;
}

std::vector<float> Floats(const std::string& raw) {
  std::vector<float> values(raw.size() / sizeof(float));
  std::memcpy(values.data(), raw.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace cytopress
