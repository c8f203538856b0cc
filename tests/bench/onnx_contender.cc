#include "tests/bench/onnx_contender.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/onnx/onnx_export.h"
#include "tests/core/onnx/onnx_runtime.h"

namespace cytopress {
namespace {

// The child and the folder of its files.
class OnnxContender : public Contender {
 public:
  static absl::StatusOr<std::unique_ptr<Contender>> Start(const std::string& name,
                                                          const std::string& model,
                                                          const std::vector<uint8_t>& pixels,
                                                          int threads, TimeKind time) {
    std::string folder = (std::filesystem::temp_directory_path() / "cytopress-bench-XXXXXX");
    if (mkdtemp(folder.data()) == nullptr) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", folder));
    }
    auto contender = std::unique_ptr<OnnxContender>(new OnnxContender(folder));
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(folder + "/model.onnx", model));
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(
        folder + "/pixels",
        absl::string_view(reinterpret_cast<const char*>(pixels.data()), pixels.size())));
    CYTOPRESS_ASSIGN_OR_RETURN(
        contender->child_,
        ChildContender::StartProgram(
            "node", name,
            {CYTOPRESS_ONNX_RUNTIME_JS, "bench", folder + "/model.onnx", folder + "/pixels",
             absl::StrCat(threads), time == TimeKind::kCpu ? "cpu" : "wall"},
            {"NODE_PATH=" CYTOPRESS_NODE_MODULES}));
    return contender;
  }
  ~OnnxContender() override {
    child_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  const std::string& name() const override { return child_->name(); }
  absl::StatusOr<double> Run(int batch) override { return child_->Run(batch); }
  absl::StatusOr<std::vector<float>> FirstImage() override { return child_->FirstImage(); }
  absl::StatusOr<double> Memory() override { return child_->Memory(); }

 private:
  explicit OnnxContender(std::string folder) : folder_(std::move(folder)) {}

  const std::string folder_;
  std::unique_ptr<ChildContender> child_;
};

}  // namespace

Artifact ToFloat32(const Artifact& artifact) {
  Artifact result = artifact;
  result.weights = v1::WEIGHT_TYPE_FP32;
  result.activation_ranges.clear();
  for (auto& [name, tensor] : result.tensors) {
    StoredTensor values;
    values.encoding = Encoding::kFloat32;
    values.shape = tensor.shape;
    values.floats = Dequantize(tensor).values;
    tensor = std::move(values);
  }
  return result;
}

absl::StatusOr<std::unique_ptr<Contender>> MakeOnnxContender(const std::string& name,
                                                             const Artifact& artifact,
                                                             const std::vector<uint8_t>& pixels,
                                                             int threads, TimeKind time) {
  if (const std::string why = WhyNoOnnxRuntime(); !why.empty()) return absl::NotFoundError(why);
  OnnxOptions options;
  options.name = "bench";
  if (name == kOrtInt8) options.residual = OnnxResidual::kRounded;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string model, name == kOrtFp32
                                                          ? ExportOnnx(ToFloat32(artifact), options)
                                                          : ExportOnnx(artifact, options));
  return OnnxContender::Start(name, model, pixels, threads, time);
}

}  // namespace cytopress
