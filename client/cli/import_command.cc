// import
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/cli/amount_line.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/model_view.h"
#include "client/names.h"
#include "client/status.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/network/network.h"
#include "core/registry/model_registry.h"
#include "core/safetensors/import.h"

namespace cytopress {
namespace {

struct ImportFlags {
  std::string file;
  std::string name;
  std::optional<v1::Stem> stem;
  std::optional<int> image_size;
  int center_crop = 0;
  std::vector<float> mean;
  std::vector<float> stddev;
  std::vector<std::string> class_names;
};

constexpr char kWeightsGroup[] = "Weights of other programs (safetensors)";

constexpr char kSaveFile[] =
    "write the weights of a PyTorch model with safetensors.torch.save_file(model.state_dict(), "
    "\"weights.safetensors\") and import those";

// The length of a header, then its JSON.
bool MayBeSafetensors(absl::string_view bytes) { return bytes.size() > 8 && bytes[8] == '{'; }

// A ModelProto, which begins with its ir_version and, as exporters write it, its producer.
bool IsOnnx(absl::string_view name, absl::string_view bytes) {
  return absl::EndsWithIgnoreCase(name, ".onnx") ||
         (bytes.size() > 2 && bytes[0] == '\x08' && bytes[2] == '\x12');
}

// INVALID_ARGUMENT says what a file is, if that is easily told, that cannot be imported.
absl::Status CheckIsSafetensors(const std::string& file, absl::string_view bytes) {
  const auto refuse = [&file](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(file, what, "; ", kSaveFile));
  };
  if (MayBeSafetensors(bytes)) return absl::OkStatus();  // first: its length may be any bytes
  const bool is_zip = absl::StartsWith(bytes, "PK\x03\x04");
  // What torch.save() writes, of this decade and the one before.
  if ((is_zip && absl::StrContains(bytes, "/data.pkl")) || absl::StartsWith(bytes, "\x80\x02")) {
    return refuse(" is a file of torch.save(), which may run anything when it is read");
  }
  if (is_zip && absl::StrContains(bytes, ".npy")) {
    return refuse(" is a file of NumPy (.npz), which is no model (a data set goes to --dataset)");
  }
  if (is_zip) return refuse(" is a ZIP archive, which is no model");
  if (IsOnnx(file, bytes)) return refuse(" is an ONNX model, which cannot be imported");
  return refuse(" is no safetensors file and no model's file of cytopress");
}

absl::Status CheckGiven(const ImportFlags& flags) {
  std::vector<absl::string_view> missing;
  if (!flags.image_size.has_value()) missing.push_back("--image-size");
  if (flags.mean.empty()) missing.push_back("--mean");
  if (flags.stddev.empty()) missing.push_back("--stddev");
  if (missing.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flags.file, " holds weights, which do not tell how the model's images were prepared; give ",
      absl::StrJoin(missing, ", "), " as they were in its training"));
}

// The bytes of a model's file.
absl::StatusOr<std::string> ModelFile(const ImportFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(std::string bytes, ReadFile(flags.file, kMaxArtifactFileBytes));
  if (IsArtifactFile(bytes)) {
    if (!flags.stem && !flags.image_size && flags.center_crop == 0 && flags.mean.empty() &&
        flags.stddev.empty() && flags.class_names.empty()) {
      return bytes;
    }
    return absl::InvalidArgumentError(
        absl::StrCat(flags.file,
                     " is a model's file of cytopress, which says all of itself; give "
                     "--name only"));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckIsSafetensors(flags.file, bytes));
  CYTOPRESS_RETURN_IF_ERROR(CheckGiven(flags));
  ImportOptions options;
  if (flags.stem.has_value()) {
    CYTOPRESS_ASSIGN_OR_RETURN(options.stem, FromProto(*flags.stem));
  }
  options.preprocessing.width = options.preprocessing.height = *flags.image_size;
  options.preprocessing.center_crop = flags.center_crop;
  options.preprocessing.mean = flags.mean;
  options.preprocessing.stddev = flags.stddev;
  options.class_names = flags.class_names;
  options.source = std::filesystem::path(flags.file).filename().string();
  const absl::StatusOr<Artifact> artifact = ImportSafetensors(bytes, options);
  absl::StatusOr<std::string> file =
      artifact.ok() ? SerializeArtifact(*artifact) : artifact.status();
  if (file.ok()) return file;
  return absl::Status(file.status().code(),
                      absl::StrCat(flags.file, ": ", file.status().message()));
}

absl::StatusOr<v1::Model> Send(CliContext* context, Client* client, const ImportFlags& flags,
                               const std::string& file) {
  AmountLine line(context->console(), "sending", AmountLine::Bytes());
  absl::StatusOr<v1::Model> model = client->UploadModel(
      flags.name, file, [&line](int64_t bytes, int64_t total) { line.Show(bytes, total); });
  const std::string message = absl::StrCat(flags.file, ": ", model.status().message());
  // It was damaged before it was sent, and is wrong input as other damaged files are.
  if (absl::IsDataLoss(model.status())) return absl::InvalidArgumentError(message);
  if (absl::IsInvalidArgument(model.status())) return WithMessage(model.status(), message);
  return model;
}

absl::StatusOr<ExitCode> Import(CliContext* context, const ImportFlags& flags) {
  CYTOPRESS_RETURN_IF_ERROR(CheckModelName(flags.name));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string file, ModelFile(flags));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  // The service publishes no file twice, and answers with the newest version if that is this one.
  const absl::StatusOr<v1::Model> newest = client->GetModel(flags.name, /*version=*/0);
  if (ExitCodeOf(newest.status()) == ExitCode::kUnavailable) return newest.status();
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model, Send(context, client, flags, file));
  if (context->json()) {
    PrintJson(ToJson(model), &context->out());
    return ExitCode::kOk;
  }
  const std::string version = ToString({model.name(), model.version()});
  if (newest.ok() && newest->version() == model.version()) {
    context->out() << version << " is this very file already; no version was added\n";
  }
  PrintModelSummary(model, &context->out());
  context->out() << "\nScore it:     cytopress evaluate --model " << version
                 << " --dataset DATASET\n"
                    "Compress it:  cytopress compress --name "
                 << model.name() << "-small --base " << version << " --dataset DATASET\n";
  return ExitCode::kOk;
}

std::string Footer() {
  return absl::StrCat(
      "Weights are those of a ResNet as torchvision or MedMNIST build it, with its batch norms\n(",
      absl::StrJoin(ArchitectureNames(), ", "),
      "). In Python:\n"
      "  safetensors.torch.save_file(model.state_dict(), \"weights.safetensors\")\n"
      "Examples:\n"
      "  cytopress import blood.cyp --name blood\n"
      "  cytopress import weights.safetensors --name cells --image-size 224 "
      "--mean 0.485,0.456,0.406 \\\n"
      "    --stddev 0.229,0.224,0.225 --class-names basophil,eosinophil,lymphocyte");
}

}  // namespace

void AddImportCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* command =
      app->add_subcommand("import", "publish a model that was trained or downloaded elsewhere");
  command
      ->add_option("FILE", flags->file,
                   "a model's file of cytopress (.cyp), or the weights of a ResNet of PyTorch as a "
                   "safetensors file")
      ->type_name(kPath)
      ->required();
  command
      ->add_option(
          "--name", flags->name,
          "publish it as the next version of this name, unless the newest is the same file")
      ->required();
  command->add_option("--image-size", flags->image_size, "pixels a side that the network takes")
      ->check(AtLeast(1))
      ->group(kWeightsGroup);
  command
      ->add_option("--mean", flags->mean,
                   "subtracted from pixels between 0 and 1: one number a channel, separated by "
                   "commas, or one for all")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kWeightsGroup);
  command->add_option("--stddev", flags->stddev, "that they are divided by then, in the same way")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kWeightsGroup);
  command
      ->add_option("--center-crop", flags->center_crop,
                   "pixels a side of the square that is cut from an image before it is scaled; 0 = "
                   "the largest")
      ->check(AtLeast(0))
      ->group(kWeightsGroup);
  command
      ->add_option_function<std::string>(
          "--stem", [flags](const std::string& stem) { flags->stem = StemsByName().at(stem); },
          "of weights whose first convolution is 3x3: cifar (stride 1, as MedMNIST has it) or "
          "stride2")
      ->transform(OneOf(StemsByName()))
      ->group(kWeightsGroup);
  command
      ->add_option("--class-names", flags->class_names,
                   "in the order of the network's outputs, separated by commas; default: class 0, "
                   "class 1, ...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kWeightsGroup);
  command->footer(Footer());
  command->callback([context, flags] {
    context->set_command([context, flags] { return Import(context, *flags); });
  });
}

}  // namespace cytopress
