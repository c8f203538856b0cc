// classify
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/truth.h"
#include "client/status.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxImageBytes = int64_t{64} << 20;

struct ClassifyFlags {
  std::vector<std::string> paths;
  std::string model;
  int top = 1;
  std::string truth;
  std::vector<std::string> aliases;
  int in_flight = 4;
  bool summary = false;
};

// What is known of one file when all answers are there.
struct FileResult {
  std::string path;
  v1::Classification answer;
  std::optional<int> truth;
  absl::Status error;  // why there is no answer

  bool right() const {
    return truth.has_value() && error.ok() && answer.classes(0).index() == *truth;
  }
};

bool IsImageName(const fs::path& path) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

absl::Status AppendFolder(const std::string& folder, std::vector<FileResult>* files) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error) && IsImageName(it->path())) found.push_back(it->path().string());
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read folder ", folder));
  }
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("no .png, .jpg or .jpeg in folder ", folder));
  }
  std::sort(found.begin(), found.end());
  for (std::string& path : found) files->push_back({std::move(path), {}, std::nullopt, {}});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FileResult>> ListFiles(const std::vector<std::string>& paths) {
  std::vector<FileResult> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      CYTOPRESS_RETURN_IF_ERROR(AppendFolder(path, &files));
    } else if (fs::exists(path, error)) {
      files.push_back({path, {}, std::nullopt, {}});
    } else {
      return absl::NotFoundError(absl::StrCat("there is no file or folder ", path));
    }
  }
  return files;
}

absl::StatusOr<v1::ImageInput> LoadFile(const std::string& path) {
  v1::ImageInput input;
  CYTOPRESS_ASSIGN_OR_RETURN(*input.mutable_encoded(), ReadFile(path, kMaxImageBytes));
  return input;
}

// A refusal of a request that names no model, in the words of the flags; others as they are.
absl::Status NamingModelFlag(const absl::Status& refusal) {
  google::rpc::BadRequest bad_request;
  const absl::optional<absl::Cord> payload = refusal.GetPayload(kBadRequestUrl);
  if (!payload.has_value() || !bad_request.ParseFromString(std::string(*payload))) return refusal;
  for (const google::rpc::BadRequest::FieldViolation& violation : bad_request.field_violations()) {
    if (violation.field() != "model") continue;
    absl::Status named(refusal.code(), absl::StrCat("--model: ", violation.description(),
                                                    "; or start cytopressd with --default-model"));
    refusal.ForEachPayload(
        [&named](absl::string_view url, const absl::Cord& value) { named.SetPayload(url, value); });
    return named;
  }
  return refusal;
}

absl::StatusOr<ClassifySummary> ClassifyFiles(Client* client, const ClassifyFlags& flags,
                                              const ModelVersion& model,
                                              std::vector<FileResult>* files) {
  ClassifyOptions options;
  options.top_k = flags.top;
  options.in_flight = flags.in_flight;
  options.model = model.name;
  options.version = model.version;
  options.on_bad_image = [files](int64_t i, const absl::Status& why) { (*files)[i].error = why; };
  return client->ClassifyAll(
      static_cast<int64_t>(files->size()),
      [files](int64_t i) { return LoadFile((*files)[i].path); },
      [files](int64_t i, const v1::Classification& answer) {
        FileResult& file = (*files)[i];
        file.answer = answer;
        if (answer.classes().empty()) file.error = absl::InternalError("the server named no class");
      },
      options);
}

// Only an answer tells which model the service uses when none is named: that to the first file that
// it can read. The name is empty when it can read none.
absl::StatusOr<ModelVersion> DefaultModel(Client* client, const std::vector<FileResult>& files) {
  for (const FileResult& file : files) {
    ClassifyOptions options;
    options.on_bad_image = [](int64_t, const absl::Status&) {};
    CYTOPRESS_ASSIGN_OR_RETURN(const ClassifySummary summary,
                               client->ClassifyAll(
                                   1, [&file](int64_t) { return LoadFile(file.path); },
                                   [](int64_t, const v1::Classification&) {}, options));
    if (summary.images > 0) return ModelVersion{summary.model, summary.version};
  }
  return ModelVersion{};
}

absl::Status FindTruth(const std::vector<std::string>& class_names,
                       const std::map<std::string, std::string>& aliases,
                       std::vector<FileResult>* files) {
  CYTOPRESS_RETURN_IF_ERROR(CheckAliases(aliases, class_names));
  std::map<std::string, int> known;
  for (FileResult& file : *files) {
    const std::string folder = fs::absolute(file.path).lexically_normal().parent_path().filename();
    if (known.count(folder) == 0) {
      CYTOPRESS_ASSIGN_OR_RETURN(known[folder], MatchClass(folder, class_names, aliases));
    }
    file.truth = known[folder];
  }
  return absl::OkStatus();
}

// 0 would be the service's default.
CLI::Validator OneOrAll() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        int top = 0;
        if (absl::SimpleAtoi(text, &top) && (top == -1 || top >= 1)) return "";
        return absl::StrCat("'", text, "' is neither a whole number of at least 1 nor -1");
      },
      "-1 or >=1");
}

int64_t CountRight(const std::vector<FileResult>& files) {
  return std::count_if(files.begin(), files.end(), [](const FileResult& f) { return f.right(); });
}

Json ImagesAsJson(const std::vector<FileResult>& files,
                  const std::vector<std::string>& class_names) {
  Json images = Json::array();
  for (const FileResult& file : files) {
    Json image;
    image["file"] = file.path;
    image["classes"] = ToJson(file.answer)["classes"];
    if (!file.error.ok()) image["error"] = std::string(file.error.message());
    if (file.truth.has_value()) {
      image["truth"] = class_names[*file.truth];
      image["right"] = file.right();
    }
    images.push_back(std::move(image));
  }
  return images;
}

Json AsJson(const ClassifySummary& summary, const std::vector<FileResult>& files,
            const std::vector<std::string>& class_names, bool with_images) {
  Json json;
  json["model"] = summary.model;
  json["model_version"] = absl::StrCat(summary.version);  // as in Protobuf's JSON
  json["answered"] = summary.images;
  if (with_images) json["images"] = ImagesAsJson(files, class_names);
  json["seconds"] = absl::ToDoubleSeconds(summary.elapsed);
  json["timing"] = ToJson(summary.timing);
  if (!class_names.empty()) json["right"] = CountRight(files);
  return json;
}

void PrintFiles(const std::vector<FileResult>& files, const std::vector<std::string>& class_names,
                std::ostream* out) {
  const bool with_truth = !class_names.empty();
  Table table({"file", "class", ">probability", with_truth ? "truth" : ""});
  for (const FileResult& file : files) {
    if (!file.error.ok()) {
      table.AddRow({file.path, absl::StrCat("error: ", file.error.message()), "", ""});
      continue;
    }
    for (int rank = 0; rank < file.answer.classes_size(); ++rank) {
      const v1::ClassScore& score = file.answer.classes(rank);
      std::string truth;
      if (with_truth && rank == 0) truth = file.right() ? "right" : class_names[*file.truth];
      table.AddRow({rank == 0 ? file.path : "", score.name(), FormatPercent(score.probability()),
                    std::move(truth)});
    }
  }
  table.Print(out);
}

void PrintRight(const std::vector<FileResult>& files, const std::vector<std::string>& class_names,
                std::ostream* out) {
  std::vector<int64_t> all(class_names.size(), 0), right(class_names.size(), 0);
  int64_t answered = 0;
  for (const FileResult& file : files) {
    if (!file.error.ok()) continue;
    ++answered;
    ++all[*file.truth];
    right[*file.truth] += file.right() ? 1 : 0;
  }
  Table table({"class", ">images", ">right", ">share"});
  const auto add = [&table](const std::string& name, int64_t good, int64_t total) {
    table.AddRow({name, absl::StrCat(total), absl::StrCat(good),
                  FormatPercent(static_cast<double>(good) / total)});
  };
  for (size_t i = 0; i < class_names.size(); ++i) {
    if (all[i] > 0) add(class_names[i], right[i], all[i]);
  }
  add("all", CountRight(files), answered);
  *out << '\n';
  table.Print(out);
}

void PrintTiming(const ClassifySummary& summary, std::ostream* out) {
  const double seconds = absl::ToDoubleSeconds(summary.elapsed);
  const double images = static_cast<double>(summary.images);
  *out << absl::StrFormat(
      "\n%s by %s@%d in %s (%.0f images/s); in the service, an image: decoding %s, "
      "computing %s; waiting, a request: %s\n",
      FormatImages(summary.images), summary.model, summary.version, FormatSeconds(seconds),
      images / seconds, FormatMilliseconds(summary.timing.decode_seconds() / images),
      FormatMilliseconds(summary.timing.compute_seconds() / images),
      FormatMilliseconds(summary.timing.queue_seconds() / summary.requests));
}

// OK when every file has an answer.
absl::Status Failures(const std::vector<FileResult>& files) {
  const FileResult* first = nullptr;
  int64_t failed = 0;
  for (const FileResult& file : files) {
    if (file.error.ok()) continue;
    if (first == nullptr) first = &file;
    ++failed;
  }
  if (first == nullptr) return absl::OkStatus();
  return absl::Status(first->error.code(),
                      absl::StrCat(failed, " of ", files.size(), " files failed; the first is ",
                                   first->path, ": ", first->error.message()));
}

absl::StatusOr<ExitCode> Classify(CliContext* context, const ClassifyFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<FileResult> files, ListFiles(flags.paths));
  std::map<std::string, std::string> aliases;
  CYTOPRESS_ASSIGN_OR_RETURN(aliases, ParseAliases(flags.aliases));
  ModelVersion version;
  if (!flags.model.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(version, ParseModelVersion(flags.model));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  std::vector<std::string> class_names;
  if (!flags.truth.empty() && version.name.empty()) {
    absl::StatusOr<ModelVersion> found = DefaultModel(client, files);
    if (!found.ok()) return NamingModelFlag(found.status());
    version = *std::move(found);
  }
  if (!flags.truth.empty() && !version.name.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model,
                               client->GetModel(version.name, version.version));
    version.version = model.version();
    class_names.assign(model.class_names().begin(), model.class_names().end());
    CYTOPRESS_RETURN_IF_ERROR(FindTruth(class_names, aliases, &files));
  }
  const absl::StatusOr<ClassifySummary> done = ClassifyFiles(client, flags, version, &files);
  if (!done.ok()) return version.name.empty() ? NamingModelFlag(done.status()) : done.status();
  const ClassifySummary& summary = *done;
  if (context->json()) {
    PrintJson(AsJson(summary, files, class_names, !flags.summary), &context->out());
  } else {
    if (!flags.summary) PrintFiles(files, class_names, &context->out());
    if (summary.images > 0) {
      PrintTiming(summary, &context->out());
      if (!class_names.empty()) PrintRight(files, class_names, &context->out());
    }
  }
  CYTOPRESS_RETURN_IF_ERROR(Failures(files));
  return ExitCode::kOk;
}

}  // namespace

void AddClassifyCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ClassifyFlags>();
  CLI::App* command = app->add_subcommand("classify", "classify PNG and JPEG files");
  command->add_option("FILES", flags->paths, "files, or folders of .png, .jpg and .jpeg")
      ->required();
  command->add_option("--model", flags->model,
                      "NAME or NAME@VERSION; default: --default-model of the service, or the only "
                      "model that it has");
  command->add_option("--top", flags->top, "classes to show for each image; -1 = all")
      ->check(OneOrAll())
      ->capture_default_str();
  CLI::Option* truth =
      command
          ->add_option(
              "--truth", flags->truth,
              "\"folder\": the folder of a file names its class; prints how many are right")
          ->check(CLI::IsMember({"folder"}));
  command
      ->add_option("--alias", flags->aliases,
                   "FOLDER=CLASS for folders that are not named like their class, separated by "
                   "commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->needs(truth);
  command->add_option("--in-flight", flags->in_flight, "requests on their way at a time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_flag("--summary", flags->summary, "leave out the line for each file");
  command->footer(
      "A file that cannot be classified has an error in its row, and the others go on.\n"
      "Beginnings and initials of a class name need no --alias.\n"
      "Examples:\n  cytopress classify --model blood-cells cell.png\n"
      "  cytopress classify --model blood@2 --top 3 "
      "cells/\n"
      "  cytopress classify --model blood --truth folder --alias \"ig=immature granulocyte\" "
      "photos/");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Classify(context, *flags); });
  });
}

}  // namespace cytopress
