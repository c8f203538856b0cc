// datasets show, datasets export
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/checks.h"
#include "client/cli/class_chart.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "core/base/file.h"
#include "core/base/pending_file.h"
#include "core/base/status_macros.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "core/network/network.h"

namespace cytopress {
namespace {

struct DatasetFlags {
  std::string uri;
  uint64_t seed = 0;
  std::vector<std::string> class_names;
  std::optional<int> image_size;  // pixels a side
  std::string svg;
  std::string split = "test";
  int count = 16;
  std::string output;
  bool force = false;
};

// As a job that trains from scratch with flags of these names.
absl::StatusOr<Dataset> Load(const DatasetFlags& flags) {
  DatasetOptions options;
  options.seed = flags.seed;
  options.class_names = flags.class_names;
  if (flags.image_size.has_value()) {
    options.folder_preprocessing.height = *flags.image_size;
    options.folder_preprocessing.width = *flags.image_size;
  }
  CYTOPRESS_ASSIGN_OR_RETURN(Dataset dataset, LoadDataset(flags.uri, options));
  const int size = flags.image_size.value_or(0);
  if (size != 0 && (dataset.height != size || dataset.width != size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--image-size ", size, " is for folders; the images of ", dataset.name,
                     " have ", dataset.width, "x", dataset.height, " pixels: leave it out"));
  }
  return dataset;
}

Json AsJson(const Dataset& dataset, const std::vector<SplitCounts>& splits) {
  Json json;
  json["name"] = dataset.name;
  json["synthetic"] = dataset.synthetic;
  json["width"] = dataset.width;
  json["height"] = dataset.height;
  json["channels"] = dataset.channels;
  json["content_hash"] = dataset.content_hash;
  json["class_names"] = dataset.class_names;
  for (const SplitCounts& split : splits) {
    json["splits"][split.split]["images"] = split.total();
    json["splits"][split.split]["by_class"] = split.images;
  }
  return json;
}

// Empty when one does.
std::string WhyNoNetworkTakes(const Dataset& dataset) {
  NetworkSpec spec;
  spec.classes = dataset.classes();
  spec.input_channels = dataset.channels;
  spec.input_height = dataset.height;
  spec.input_width = dataset.width;
  return std::string(BuildNetwork(spec).status().message());
}

absl::StatusOr<ExitCode> Show(CliContext* context, const DatasetFlags& flags) {
  if (!flags.svg.empty()) CYTOPRESS_RETURN_IF_ERROR(CheckWritable(flags.svg));
  CYTOPRESS_ASSIGN_OR_RETURN(const Dataset dataset, Load(flags));
  const std::vector<SplitCounts> splits = CountSplits(dataset);
  if (!flags.svg.empty()) {
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(
        flags.svg, DrawSvgChart(absl::StrCat("Class distribution of ", dataset.name),
                                dataset.class_names, splits)));
  }
  const std::string problem = WhyNoNetworkTakes(dataset);
  if (context->json()) {
    Json json = AsJson(dataset, splits);
    if (!problem.empty()) json["problem"] = problem;
    PrintJson(json, &context->out());
    return ExitCode::kOk;
  }
  context->out() << absl::StrFormat(
      "%s: %d classes, %d images of %dx%d pixels, %s\n", Printable(dataset.name), dataset.classes(),
      dataset.train.size() + dataset.val.size() + dataset.test.size(), dataset.width,
      dataset.height, dataset.channels == 1 ? "gray" : "RGB");
  if (dataset.synthetic) context->out() << "SYNTHETIC: drawn by the program, no real cells\n";
  if (!problem.empty()) context->out() << "no job can use it: " << problem << '\n';
  context->out() << "content hash " << dataset.content_hash << "\n\n"
                 << DrawTextChart(dataset.class_names, splits, context->console().columns);
  return ExitCode::kOk;
}

// A class name as a folder: `classify --truth folder` finds the class again.
std::string FolderName(const std::string& class_name) {
  std::string folder = class_name;
  for (char& c : folder) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '/' || c == ' ' || absl::ascii_iscntrl(byte)) c = '_';
  }
  if (folder[0] == '.') folder[0] = '_';  // hidden, or "." and ".."
  return folder;
}

// Two classes in one folder could not be told apart again.
absl::Status CheckFolderNames(const std::vector<std::string>& class_names) {
  std::map<std::string, std::string> class_of;
  for (const std::string& name : class_names) {
    const auto [found, is_new] = class_of.emplace(FolderName(name), name);
    if (is_new) continue;
    return absl::InvalidArgumentError(absl::StrCat("classes \"", found->second, "\" and \"", name,
                                                   "\" would share the folder \"", found->first,
                                                   "\"; rename one of them in the data set"));
  }
  return absl::OkStatus();
}

// The first images of each class in turn, so that a few show all classes.
std::vector<int64_t> ChooseImages(const Split& split, int classes, int count) {
  std::vector<std::vector<int64_t>> by_class(classes);
  for (int64_t i = 0; i < split.size(); ++i) by_class[split.labels[i]].push_back(i);
  std::vector<int64_t> chosen;
  for (size_t round = 0; static_cast<int>(chosen.size()) < count; ++round) {
    const size_t before = chosen.size();
    for (const std::vector<int64_t>& images : by_class) {
      if (round < images.size() && static_cast<int>(chosen.size()) < count) {
        chosen.push_back(images[round]);
      }
    }
    if (chosen.size() == before) break;  // there are no more
  }
  return chosen;
}

// Where image `index` of the split goes. Each split counts from 0, and several may share a folder.
std::string ExportPath(const Dataset& dataset, const Split& split, int64_t index,
                       const DatasetFlags& flags) {
  return absl::StrFormat("%s/%s/%s-%05d.png", flags.output,
                         FolderName(dataset.class_names[split.labels[index]]), flags.split, index);
}

// Other data, or another seed, have the same names.
absl::Status CheckNothingIsThere(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is there already; name another folder with -o, or overwrite with --force"));
  }
  return absl::OkStatus();
}

absl::Status ExportImage(const Dataset& dataset, const Split& split, int64_t index,
                         const std::string& path) {
  Image image;
  image.width = dataset.width;
  image.height = dataset.height;
  image.channels = dataset.channels;
  const auto begin = split.pixels.begin() + index * dataset.image_bytes();
  image.pixels.assign(begin, begin + dataset.image_bytes());
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string png, EncodePng(image));
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(path).parent_path()));
  return WriteFileAtomically(path, png);
}

absl::StatusOr<ExitCode> Export(CliContext* context, const DatasetFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Dataset dataset, Load(flags));
  CYTOPRESS_ASSIGN_OR_RETURN(const Split* const split, dataset.split(flags.split));
  CYTOPRESS_RETURN_IF_ERROR(CheckFolderNames(dataset.class_names));
  const std::vector<int64_t> chosen = ChooseImages(*split, dataset.classes(), flags.count);
  std::vector<std::string> paths;
  for (const int64_t index : chosen) paths.push_back(ExportPath(dataset, *split, index, flags));
  if (!flags.force) CYTOPRESS_RETURN_IF_ERROR(CheckNothingIsThere(paths));
  for (size_t i = 0; i < paths.size(); ++i) {
    CYTOPRESS_RETURN_IF_ERROR(ExportImage(dataset, *split, chosen[i], paths[i]));
  }
  if (context->json()) {
    PrintJson(Json{{"files", paths}}, &context->out());
  } else {
    context->out() << FormatImages(paths.size()) << " of " << Printable(dataset.name) << " ("
                   << flags.split << ") in " << flags.output;
    if (static_cast<int>(paths.size()) < flags.count) {
      context->out() << ": all that there are, not " << flags.count;
    }
    context->out() << '\n';
  }
  return ExitCode::kOk;
}

CLI::App* AddCommon(CLI::App* command, DatasetFlags* flags) {
  command
      ->add_option("DATASET", flags->uri,
                   "a MedMNIST .npz, a folder of images by class, or \"synthetic\"")
      ->type_name(kPath)
      ->required();
  command
      ->add_option("--seed", flags->seed,
                   "of the split of a folder and of synthetic cells: --dataset-seed of a job")
      ->check(AtLeast(0))
      ->capture_default_str();
  command
      ->add_option("--image-size", flags->image_size,
                   "pixels a side that a folder's images are scaled to, as --image-size of a job; "
                   "default: 28")
      ->check(AtLeast(1));
  command->add_option("--class-names", flags->class_names, "in label order, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  return command;
}

void AddShow(CLI::App* datasets, CliContext* context) {
  auto flags = std::make_shared<DatasetFlags>();
  CLI::App* command = AddCommon(
      datasets->add_subcommand("show", "sizes, content hash and class distribution"), flags.get());
  command->add_option("--svg", flags->svg, "also draw the distribution into this file")
      ->type_name(kPath);
  command->footer(
      "Examples:\n  cytopress datasets show bloodmnist.npz\n"
      "  cytopress datasets show cells/ --image-size 64\n"
      "  cytopress datasets show synthetic --svg classes.svg");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Show(context, *flags); });
  });
}

void AddExport(CLI::App* datasets, CliContext* context) {
  auto flags = std::make_shared<DatasetFlags>();
  CLI::App* command = AddCommon(
      datasets->add_subcommand("export", "write some images as DIR/CLASS/SPLIT-NNNNN.png"),
      flags.get());
  command->add_option("--split", flags->split, "train, val or test")
      ->transform(OneOf({"train", "val", "test"}))
      ->capture_default_str();
  command->add_option("--count", flags->count, "how many, of all classes in turn")
      ->check(AtLeast(1))
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "the folder DIR")->type_name(kPath)->required();
  command->add_flag("--force", flags->force, "overwrite files that are there already");
  command->footer("Examples:\n  cytopress datasets export bloodmnist.npz --count 16 -o cells");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Export(context, *flags); });
  });
}

}  // namespace

void AddDatasetCommands(CLI::App* app, CliContext* context) {
  CLI::App* datasets =
      app->add_subcommand("datasets", "look at a data set on this machine, without the service");
  datasets->require_subcommand(1);
  datasets->footer("Examples:\n  cytopress datasets show bloodmnist.npz");
  AddShow(datasets, context);
  AddExport(datasets, context);
}

}  // namespace cytopress
