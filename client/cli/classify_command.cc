// classify
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/amount_line.h"
#include "client/cli/checks.h"
#include "client/cli/classify_results.h"
#include "client/cli/colour_notes.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/image_files.h"
#include "client/cli/image_note.h"
#include "client/cli/interrupt_note.h"
#include "client/cli/scale_notes.h"
#include "client/cli/truth.h"
#include "client/status.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr size_t kMostNames = 3;  // of files, in a note

constexpr char kFooter[] =
    "A model looks at a square in the centre of an image, as large as `cytopress models NAME`\n"
    "says. There has to be one cell, in colour, at the scale of the photographs that the model\n"
    "was trained on: scale others first. Of 16 bits a channel the upper 8 are read. It warns of\n"
    "other scales (notes of a file: small, large), of gray images for a model that takes colour\n"
    "(gray), of images that show nothing (one colour), and of PNGs of 16 bits that use less "
    "than\n"
    "an eighth of the range (dark). To tell gray and one colour, it looks at the pixels of all\n"
    "images, or of 500 of a large run, as long as these have no more than 64 million pixels.\n"
    "A file that cannot be read or classified has an error in its row, and the others go on:\n"
    "exit code 7, or that of the first error when no file has an answer. A service that goes\n"
    "away is waited for, as long as --timeout says, and gets what has no answer yet; if it does\n"
    "not come back, and after Ctrl-C, the answers that have come are printed, without the files\n"
    "that were not reached: --json counts these as not_classified. In folders, names that begin\n"
    "with a dot are passed over.\n"
    "Beginnings and initials of a class name need no --alias.\n"
    "Examples:\n  cytopress classify --model blood-cells cell.png\n"
    "  cytopress classify --model blood@2 --top 3 "
    "cells/\n"
    "  cytopress classify --model blood --truth folder --alias \"ig=immature granulocyte\" "
    "photos/\n"
    "  cytopress classify --model blood --csv answers.csv --summary photos/\n"
    "  curl -s https://example.org/cell.png | cytopress classify --model blood -";

struct ClassifyFlags {
  std::vector<std::string> paths;
  std::string model;
  int top = 1;
  std::string truth;
  std::vector<std::string> aliases;
  int in_flight = 4;
  bool summary = false;
  std::string csv;
};

absl::StatusOr<v1::ImageInput> LoadFile(FileResult* file) {
  CYTOPRESS_RETURN_IF_ERROR(file->error);
  v1::ImageInput input;
  if (file->content.has_value()) {
    input.set_encoded(*file->content);
  } else {
    CYTOPRESS_ASSIGN_OR_RETURN(*input.mutable_encoded(), ReadImageFile(file->path));
  }
  // What is no image the service refuses.
  if (const absl::StatusOr<ImageSize> size = ReadImageSize(input.encoded()); size.ok()) {
    file->size = *size;
  }
  return input;
}

// A refusal of a request that names no model, in the words of the flags; others as they are.
absl::Status NamingModelFlag(const absl::Status& refusal) {
  const google::rpc::BadRequest bad_request = BadRequestOf(refusal);
  for (const google::rpc::BadRequest::FieldViolation& violation : bad_request.field_violations()) {
    if (violation.field() != "model") continue;
    return WithMessage(refusal, absl::StrCat("--model: ", violation.description(),
                                             "; or start cytopressd with --default-model"));
  }
  return refusal;
}

// Leaves of the files those that have an answer or an error of their own, and counts the others.
void LeaveOutWhatWasNotReached(const std::vector<bool>& ended, ClassifyResults* results) {
  std::vector<FileResult> known;
  for (size_t i = 0; i < ended.size(); ++i) {
    FileResult& file = results->files[i];
    if (ended[i] || !file.error.ok()) known.push_back(std::move(file));
  }
  results->not_classified = static_cast<int64_t>(ended.size() - known.size());
  results->files = std::move(known);
}

// The error that ended the run early, if any.
absl::Status ClassifyFiles(CliContext* context, Client* client, const ClassifyFlags& flags,
                           const ModelVersion& model, const InterruptFlag& interrupt,
                           ClassifyResults* results) {
  std::vector<FileResult>& files = results->files;
  std::vector<bool> ended(files.size(), false);
  const auto count = static_cast<int64_t>(files.size());
  AmountLine line(context->console(), "classifying", AmountLine::Images());
  ColourSample sample(files.size());
  ClassifyOptions options;
  options.top_k = flags.top;
  options.in_flight = flags.in_flight;
  options.model = model.name;
  options.version = model.version;
  options.on_bad_image = [&](int64_t i, const absl::Status& why) {
    if (absl::IsCancelled(why)) return;  // by the user: it was not even read
    files[i].error = why;
    ended[i] = true;
  };
  options.on_progress = [&](const ClassifySummary& so_far) {
    context->set_reached();
    results->summary = so_far;
    if (so_far.requests == 1) results->first_wait_seconds = so_far.timing.queue_seconds();
    line.Show(so_far.images, count);
  };
  options.on_disconnect = [&](const absl::Status&) {
    line.ShowWaiting(results->summary.images, count);
    return !interrupt.raised();
  };
  const absl::StatusOr<ClassifySummary> done = client->ClassifyAll(
      count,
      [&](int64_t i) -> absl::StatusOr<v1::ImageInput> {
        // The answers that are on their way are waited for.
        if (interrupt.raised()) return absl::CancelledError("interrupted");
        absl::StatusOr<v1::ImageInput> input = LoadFile(&files[i]);
        if (input.ok() && files[i].size.has_value()) {
          files[i].kind = ReadImageKind(input->encoded(), sample.Takes(i, *files[i].size));
        }
        return input;
      },
      [&](int64_t i, const v1::Classification& answer) {
        files[i].answer = answer;
        if (answer.classes().empty()) {
          files[i].error = absl::InternalError("the server named no class");
        }
        ended[i] = true;
      },
      options);
  if (done.ok()) results->summary = *done;
  LeaveOutWhatWasNotReached(ended, results);
  return done.status();
}

// Only an answer tells which model the service uses when none is named: that to the first file that
// it can read. The name is empty when it can read none.
absl::StatusOr<ModelVersion> DefaultModel(Client* client, std::vector<FileResult>* files) {
  for (FileResult& file : *files) {
    ClassifyOptions options;
    options.on_bad_image = [](int64_t, const absl::Status&) {};
    CYTOPRESS_ASSIGN_OR_RETURN(const ClassifySummary summary,
                               client->ClassifyAll(
                                   1, [&file](int64_t) { return LoadFile(&file); },
                                   [](int64_t, const v1::Classification&) {}, options));
    if (summary.images > 0) return ModelVersion{summary.model, summary.version};
  }
  return ModelVersion{};
}

// Of the files that can be read.
absl::Status FindTruth(const v1::Model& model, const std::map<std::string, std::string>& aliases,
                       ClassifyResults* results) {
  std::vector<std::string>& class_names = results->class_names;
  class_names.assign(model.class_names().begin(), model.class_names().end());
  CYTOPRESS_RETURN_IF_ERROR(CheckAliases(aliases, class_names));
  std::map<std::string, int> known;
  for (FileResult& file : results->files) {
    if (!file.error.ok()) continue;
    const std::filesystem::path path = std::filesystem::absolute(file.path).lexically_normal();
    const std::string folder = path.parent_path().filename();
    if (known.count(folder) == 0) {
      CYTOPRESS_ASSIGN_OR_RETURN(known[folder], MatchClass(folder, class_names, aliases));
    }
    file.truth = known[folder];
  }
  return absl::OkStatus();
}

// The model, and the version of it that is there now, where the files' true classes are asked for.
// Leaves `version` as it is when no file can be read by which the service would tell its model.
absl::Status FindModelAndTruth(CliContext* context, Client* client, const ClassifyFlags& flags,
                               ModelVersion* version, ClassifyResults* results) {
  if (flags.truth.empty()) return absl::OkStatus();
  CYTOPRESS_ASSIGN_OR_RETURN(const auto aliases, ParseAliases(flags.aliases));
  if (version->name.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(*version, DefaultModel(client, &results->files));
    if (version->name.empty()) return absl::OkStatus();
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model,
                             client->GetModel(version->name, version->version));
  context->set_reached();
  version->version = model.version();
  return FindTruth(model, aliases, results);
}

// Files that are meant by a note, for people: "a.png, b.png, c.png, ...".
std::string SomeNames(const std::vector<FileResult*>& files) {
  std::vector<std::string> names;
  for (size_t i = 0; i < files.size() && i < kMostNames; ++i) names.push_back(files[i]->path);
  if (names.size() < files.size()) names.push_back("...");
  return absl::StrJoin(names, ", ");
}

// What is odd about the images that have an answer.
void AddImageNotes(Client* client, ClassifyResults* results) {
  std::vector<FileResult*> files;
  std::vector<ImageSize> sizes;
  std::vector<ImageKind> kinds;
  for (FileResult& file : results->files) {
    if (!file.error.ok() || !file.size.has_value()) continue;
    files.push_back(&file);
    sizes.push_back(*file.size);
    kinds.push_back(file.kind);
  }
  if (files.empty()) return;
  const absl::StatusOr<v1::Model> model =
      client->GetModel(results->summary.model, results->summary.version);
  if (!model.ok()) return;  // it may be deleted by now; the answers are there
  for (const auto& found : {ScaleNotes(*model, sizes), ColourNotes(*model, kinds)}) {
    for (const ImageNote& note : found) {
      std::vector<FileResult*> odd;
      for (const size_t image : note.images) odd.push_back(files[image]);
      for (FileResult* const file : odd) file->notes.push_back(note.name);
      results->notes.push_back(absl::StrCat(note.text, " (", SomeNames(odd), ")"));
    }
  }
}

// What people should know beside the answers.
void AddNotes(Client* client, const ImageFiles& found, ClassifyResults* results) {
  if (const std::string left_out = LeftOutInWords(found); !left_out.empty()) {
    results->notes.push_back(absl::StrCat("left out: ", left_out));
  }
  AddImageNotes(client, results);
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

absl::Status PrintResults(CliContext* context, const ClassifyFlags& flags,
                          const ClassifyResults& results) {
  const bool csv_only = IsStandardOutput(flags.csv);
  // The file comes first: a reader of standard output that goes away, such as head(1), ends the
  // program.
  absl::Status written = absl::OkStatus();
  if (csv_only) {
    context->out() << ToCsv(results);
  } else if (!flags.csv.empty()) {
    written = WriteFileAtomically(flags.csv, ToCsv(results));
  }
  if (context->json()) {
    PrintJson(ToJson(results, !flags.summary), &context->out());
  } else {
    std::ostream& out = csv_only ? context->err() : context->out();
    if (!flags.summary && !csv_only) PrintFiles(results, &out);
    PrintTotals(results, &out);
    for (const std::string& note : results.notes) {
      context->err() << "cytopress: " << Printable(note) << '\n';
    }
    if (results.not_classified > 0) {
      context->err() << "cytopress: " << results.summary.images << " of "
                     << results.files.size() + results.not_classified
                     << " images are classified; the run ended before "
                     << FormatImages(results.not_classified) << ", left out here\n";
    }
  }
  return written;
}

// Standard input is read here and now: the first image may be wanted twice.
FileResult ToResult(const ImageFile& file) {
  FileResult result;
  result.path = file.path;
  result.error = file.error;
  if (file.error.ok() && IsStandardInput(file.path)) {
    absl::StatusOr<std::string> content = ReadImageFile(file.path);
    result.error = content.status();
    if (content.ok()) result.content = *std::move(content);
  }
  return result;
}

absl::Status CheckTruthOfStandardInput(const ClassifyFlags& flags) {
  if (flags.truth.empty()) return absl::OkStatus();
  for (const std::string& path : flags.paths) {
    if (!IsStandardInput(path)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "--truth folder: ", path, " is in no folder that names its class; leave one of them out"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Classify(CliContext* context, const ClassifyFlags& flags) {
  CYTOPRESS_RETURN_IF_ERROR(CheckCsvOutput(flags.csv, context->json()));
  ModelVersion version;
  if (!flags.model.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(version, ParseModelVersion(flags.model));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckTruthOfStandardInput(flags));
  const ImageFiles found = FindImageFiles(flags.paths);
  ClassifyResults results;
  for (const ImageFile& file : found.files) results.files.push_back(ToResult(file));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  const bool names_model = !flags.model.empty();
  absl::Status end = FindModelAndTruth(context, client, flags, &version, &results);
  if (!end.ok()) return names_model ? end : NamingModelFlag(end);
  const InterruptFlag interrupt(
      "\nWaiting for the answers on their way; Ctrl-C again ends at once.\n");
  end = ClassifyFiles(context, client, flags, version, interrupt, &results);
  if (!end.ok() && results.summary.images == 0) return names_model ? end : NamingModelFlag(end);
  if (end.ok()) AddNotes(client, found, &results);
  CYTOPRESS_RETURN_IF_ERROR(PrintResults(context, flags, results));
  if (interrupt.raised()) return ExitCode::kInterrupted;
  CYTOPRESS_RETURN_IF_ERROR(end);
  CYTOPRESS_RETURN_IF_ERROR(Failures(results));
  return ExitCode::kOk;
}

}  // namespace

void AddClassifyCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ClassifyFlags>();
  CLI::App* command = app->add_subcommand("classify", "classify PNG and JPEG files");
  command
      ->add_option("FILES", flags->paths,
                   "files, or folders of .png, .jpg and .jpeg; - = standard input, one image")
      ->type_name(kPath)
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
          ->transform(OneOf({"folder"}));
  command
      ->add_option("--alias", flags->aliases,
                   "FOLDER=CLASS for folders that are not named like their class, separated by "
                   "commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->needs(truth);
  command->add_option("--in-flight", flags->in_flight, "requests on their way at a time")
      ->check(Between(1, 64))
      ->capture_default_str();
  command->add_flag("--summary", flags->summary, "leave out the line for each file");
  command
      ->add_option("--csv", flags->csv,
                   "also write a table for programs: file,class,probability,error,notes, with "
                   "--truth truth,right before the error; - = standard output, without the "
                   "other table")
      ->type_name(kPath);
  command->footer(kFooter);
  command->callback([context, flags] {
    context->set_command([context, flags] { return Classify(context, *flags); });
  });
}

}  // namespace cytopress
