// evaluate
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/checks.h"
#include "client/cli/classify_results.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/confusion.h"
#include "client/cli/dataset_classes.h"
#include "client/cli/interrupt_note.h"
#include "client/cli/truth.h"
#include "client/report/verdict.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/dataset/dataset.h"
#include "core/evaluation/evaluation.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr char kAllSplits[] = "all";

struct EvaluateFlags {
  std::string model;
  std::string dataset;
  std::string split = "test";
  std::string csv;
  std::vector<std::string> aliases;
  int in_flight = 4;
  std::optional<double> tolerance;
};

// The split as it went through the service.
struct Measured {
  std::vector<int64_t> images;  // that have an answer, by their place in the split
  std::vector<float> scores;    // of these
  Evaluation evaluation;        // of these
  ClassifySummary summary;
  absl::Status end;  // why the others have none
};

// A folder is split, and synthetic cells are drawn, by the seed that the model's job had. Images of
// a folder become what the model takes, as those do that are sent as files.
absl::StatusOr<Dataset> LoadForModel(const std::string& uri, const v1::Model& model) {
  DatasetOptions options;
  options.seed = model.provenance().spec().dataset().seed();
  options.folder_preprocessing = FromProto(model.preprocessing());
  absl::StatusOr<Dataset> dataset = LoadDataset(uri, options);
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(uri, error);
  if (dataset.ok() || !is_folder || !absl::IsInvalidArgument(dataset.status())) return dataset;
  return absl::InvalidArgumentError(absl::StrCat(dataset.status().message(), kClassifyInstead));
}

// Takes the split away from the data set, which may be large; of "all" each, in their order.
Split TakeSplit(const std::string& name, Dataset* dataset) {
  Split taken;
  const std::array<Split*, 3> splits = dataset->splits();
  for (size_t i = 0; i < splits.size(); ++i) {
    if (name != kAllSplits && name != kSplitNames[i]) continue;
    Split split = std::exchange(*splits[i], {});
    if (taken.size() == 0) {
      taken = std::move(split);
      continue;
    }
    taken.pixels.insert(taken.pixels.end(), split.pixels.begin(), split.pixels.end());
    taken.labels.insert(taken.labels.end(), split.labels.begin(), split.labels.end());
  }
  return taken;
}

v1::ImageInput RawInput(const Dataset& dataset, const Split& split, int64_t index) {
  v1::ImageInput input;
  v1::RawImage* raw = input.mutable_raw();
  raw->set_width(dataset.width);
  raw->set_height(dataset.height);
  raw->set_channels(dataset.channels);
  raw->set_pixels(split.pixels.data() + index * dataset.image_bytes(), dataset.image_bytes());
  return input;
}

// Sets all but the evaluation. Ends at the next answer once `interrupt` is raised.
void Score(Client* client, const v1::Model& model, const Dataset& dataset, const Split& split,
           const EvaluateFlags& flags, const InterruptFlag& interrupt, Measured* measured) {
  const int classes = dataset.classes();
  // NaN: Evaluate() refuses a score that the service left out.
  std::vector<float>& scores = measured->scores;
  scores.assign(split.size() * classes, std::nanf(""));
  std::vector<bool> answered(split.size(), false);
  ClassifyOptions options;
  options.model = model.name();
  options.version = model.version();
  options.top_k = -1;
  options.in_flight = flags.in_flight;
  options.on_progress = [&](const ClassifySummary& so_far) { measured->summary = so_far; };
  options.on_disconnect = [&](const absl::Status&) { return !interrupt.raised(); };
  const absl::StatusOr<ClassifySummary> done = client->ClassifyAll(
      split.size(),
      [&](int64_t i) -> absl::StatusOr<v1::ImageInput> {
        if (interrupt.raised()) return absl::CancelledError("interrupted");
        return RawInput(dataset, split, i);
      },
      [&](int64_t i, const v1::Classification& answer) {
        answered[i] = true;
        for (const v1::ClassScore& score : answer.classes()) {
          if (score.index() < 0 || score.index() >= classes) continue;
          scores[i * classes + score.index()] = score.probability();
        }
      },
      options);
  if (done.ok()) measured->summary = *done;
  measured->end = done.status();
  for (int64_t i = 0; i < split.size(); ++i) {
    if (!answered[i]) continue;
    const int64_t row = measured->images.size();
    if (row < i) std::copy_n(&scores[i * classes], classes, &scores[row * classes]);
    measured->images.push_back(i);
  }
  scores.resize(measured->images.size() * classes);
}

// An error when no image has an answer.
absl::StatusOr<Measured> Measure(Client* client, const v1::Model& model, const Dataset& dataset,
                                 const Split& split, const std::vector<int>& class_of,
                                 const EvaluateFlags& flags, const InterruptFlag& interrupt) {
  Measured measured;
  Score(client, model, dataset, split, flags, interrupt, &measured);
  if (measured.images.empty()) CYTOPRESS_RETURN_IF_ERROR(measured.end);
  std::vector<int> truth;
  for (const int64_t image : measured.images) truth.push_back(class_of[split.labels[image]]);
  CYTOPRESS_ASSIGN_OR_RETURN(measured.evaluation,
                             Evaluate(measured.scores, truth, dataset.classes()));
  return measured;
}

// MedMNIST's result file: no heading, a row an image: its index, then the score of each class in
// the order of the data set's labels.
std::string ScoresAsCsv(const Measured& measured, const std::vector<int>& class_of) {
  std::string text;
  for (size_t row = 0; row < measured.images.size(); ++row) {
    absl::StrAppend(&text, measured.images[row]);
    for (const int i : class_of) {
      absl::StrAppendFormat(&text, ",%.9g", measured.scores[row * class_of.size() + i]);
    }
    text.push_back('\n');
  }
  return text;
}

// Where --csv says; nowhere without it.
absl::Status WriteScores(const Measured& measured, const std::vector<int>& class_of,
                         const std::string& csv, std::ostream* out) {
  if (csv.empty()) return absl::OkStatus();
  const std::string scores = ScoresAsCsv(measured, class_of);
  if (!IsStandardOutput(csv)) return WriteFileAtomically(csv, scores);
  *out << scores;
  return absl::OkStatus();
}

void PrintComparison(const v1::Evaluation& measured, const v1::Evaluation* stored,
                     std::ostream* out) {
  Table table({"", ">measured", ">stored", ">difference"});
  const auto add = [&](const std::string& name, double value, const double* other) {
    const double stored_value = other == nullptr ? std::nan("") : *other;
    const double difference = value - stored_value;
    table.AddRow({name, FormatFigure(value, 6), FormatFigure(stored_value, 6),
                  std::isnan(difference) ? "-" : absl::StrFormat("%+.2g", difference)});
  };
  const auto add_field = [&](const std::string& name, double (v1::Evaluation::*field)() const) {
    const double other = stored == nullptr ? 0 : (stored->*field)();
    add(name, (measured.*field)(), stored == nullptr ? nullptr : &other);
  };
  add_field("ACC", &v1::Evaluation::accuracy);
  add_field("AUC", &v1::Evaluation::auc);
  add_field("calibration error", &v1::Evaluation::expected_calibration_error);
  table.Print(out);
}

// What the figures depend on. `seen`: how many of the images the model was trained on.
void PrintCaveats(const v1::Model& model, const Dataset& dataset, int64_t seen, std::ostream* out) {
  if (HasNamelessClasses(model, dataset)) {
    *out << "the model's classes have no names: those of the data set go by their position, "
         << Printable(dataset.class_names[0]) << " first\n";
  }
  if (!IsMadeFrom(model, dataset) && !model.provenance().dataset_hash().empty()) {
    *out << "not the data that the model was made from (its content hash differs)\n";
  }
  if (seen > 0) {
    *out << "the model was trained on up to " << FormatImages(seen)
         << " of these: expect less of others; --split test has none of them\n";
  }
}

void PrintReport(const Measured& measured, const v1::Evaluation& message,
                 const v1::Evaluation* stored, const v1::Model& model, const Dataset& dataset,
                 int columns, std::ostream* out) {
  *out << absl::StrFormat("%s@%d on %s, %s: %s\n", model.name(), model.version(),
                          Printable(dataset.name), message.split(),
                          SpeedInWords(message.images(), "", measured.summary.elapsed));
  *out << absl::StrFormat("ACC %s (95 %% interval %s to %s)\n", FormatPercent(message.accuracy()),
                          FormatPercent(message.accuracy_low()),
                          FormatPercent(message.accuracy_high()));
  if (dataset.synthetic) {
    *out << "SYNTHETIC data, drawn by the program: the figures say nothing about real cells\n";
  }
  PrintComparison(message, stored, out);
  PrintRecall(model, message, stored, columns, out);
}

Json AsJson(const Measured& measured, const v1::Evaluation& message, const v1::Evaluation* stored,
            const v1::Model& model, const Dataset& dataset, int64_t seen, int64_t all) {
  Json json;
  json["model"] = model.name();
  json["model_version"] = absl::StrCat(model.version());  // as in Protobuf's JSON
  json["dataset_hash"] = dataset.content_hash;
  if (seen > 0) json["seen_in_training"] = seen;
  json["not_classified"] = all - message.images();
  json["seconds"] = absl::ToDoubleSeconds(measured.summary.elapsed);
  json["measured"] = ToJson(message);
  for (const char* not_measured : {"auc_low", "auc_high", "engine", "right"}) {
    json["measured"].erase(not_measured);
  }
  json["stored"] = stored == nullptr ? Json() : ToJson(*stored);
  return json;
}

absl::Status CheckTolerance(const v1::Evaluation& measured, const v1::Evaluation* stored,
                            bool same_data, double tolerance) {
  if (stored == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--tolerance has nothing to compare with: the model stores no figures of ",
        same_data ? measured.split() : "these data, only of those that it was made from"));
  }
  const double accuracy = ScoreDistance(measured.accuracy(), stored->accuracy());
  const double auc = ScoreDistance(measured.auc(), stored->auc());
  if (IsWithin(accuracy, tolerance) && IsWithin(auc, tolerance)) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "measured and stored differ by more than --tolerance %g: ACC by %g, AUC by %g", tolerance,
      accuracy, auc));
}

absl::StatusOr<ExitCode> EvaluateModel(CliContext* context, const EvaluateFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(flags.model));
  CYTOPRESS_RETURN_IF_ERROR(CheckCsvOutput(flags.csv, context->json()));
  std::map<std::string, std::string> aliases;
  CYTOPRESS_ASSIGN_OR_RETURN(aliases, ParseAliases(flags.aliases));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model,
                             client->GetModel(version.name, version.version));
  context->set_reached();
  CYTOPRESS_ASSIGN_OR_RETURN(Dataset dataset, LoadForModel(flags.dataset, model));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int> class_of,
                             MatchClasses(dataset, model, aliases));
  // Figures of other data are not put beside these.
  const bool same_data = IsMadeFrom(model, dataset);
  const bool has_train = flags.split == "train" || flags.split == kAllSplits;
  const int64_t seen = same_data && has_train ? dataset.train.size() : 0;
  const Split split = TakeSplit(flags.split, &dataset);
  const InterruptFlag interrupt("\nWaiting for the next answer; Ctrl-C again ends at once.\n");
  const absl::StatusOr<Measured> measured =
      Measure(client, model, dataset, split, class_of, flags, interrupt);
  if (interrupt.raised() && !measured.ok() && !absl::IsInvalidArgument(measured.status())) {
    if (!context->json()) context->err() << "cytopress: interrupted before the first answer\n";
    return ExitCode::kInterrupted;
  }
  CYTOPRESS_RETURN_IF_ERROR(measured.status());
  const bool complete = measured->end.ok();
  const v1::Evaluation* stored = same_data && complete ? EvaluationOn(model, flags.split) : nullptr;
  v1::Evaluation message = ToProto(measured->evaluation, flags.split, /*engine=*/"");
  message.clear_right();  // means nothing to a reader
  CYTOPRESS_RETURN_IF_ERROR(WriteScores(*measured, class_of, flags.csv, &context->out()));
  if (context->json()) {
    PrintJson(AsJson(*measured, message, stored, model, dataset, seen, split.size()),
              &context->out());
  } else {
    std::ostream& out = IsStandardOutput(flags.csv) ? context->err() : context->out();
    if (!complete) {
      out << "PARTIAL: " << message.images() << " of " << FormatImages(split.size())
          << " are classified; all figures are of these alone\n";
    }
    PrintCaveats(model, dataset, seen, &out);
    PrintReport(*measured, message, stored, model, dataset, context->console().most_columns(),
                &out);
    if (same_data && complete && stored == nullptr) {
      out << "(the model stores no figures of this split)\n";
    }
  }
  if (interrupt.raised()) return ExitCode::kInterrupted;
  CYTOPRESS_RETURN_IF_ERROR(measured->end);
  if (flags.tolerance.has_value()) {
    CYTOPRESS_RETURN_IF_ERROR(CheckTolerance(message, stored, same_data, *flags.tolerance));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddEvaluateCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* command =
      app->add_subcommand("evaluate", "score a served model on a data set, through the service");
  command->add_option("--model", flags->model, "NAME or NAME@VERSION")->required();
  command
      ->add_option(
          "--dataset", flags->dataset,
          "on this machine: a MedMNIST .npz, a folder of images by class, or \"synthetic\"")
      ->type_name(kPath)
      ->envname("CYTOPRESS_DATASET")
      ->required();
  command->add_option("--split", flags->split, "train, val or test, or all: one after the other")
      ->transform(OneOf({"train", "val", "test", kAllSplits}))
      ->capture_default_str();
  command
      ->add_option(
          "--csv", flags->csv,
          "write the scores as MedMNIST's evaluator does: no heading; an image's number in the "
          "split, then a column for each class in the order of `cytopress datasets show`; - = "
          "standard output, with the figures on standard error; a run that ends early writes the "
          "rows that it has")
      ->type_name(kPath);
  command
      ->add_option("--alias", flags->aliases,
                   "CLASS_OF_DATASET=CLASS_OF_MODEL where names differ, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--in-flight", flags->in_flight, "requests on their way at a time")
      ->check(Between(1, 64))
      ->capture_default_str();
  command
      ->add_option("--tolerance", flags->tolerance,
                   "fail when ACC or AUC differ by more from what the model stores")
      ->check(NotNegative());
  command->footer(
      "The data need all classes of the model. A folder without train, val and test is split\n"
      "about 70/10/20, and only the part of --split is scored; --split all scores every image.\n"
      "`classify --truth folder` compares all files of a folder, or those of some classes.\n"
      "Every image travels to the service as raw pixels, those of a folder cut and scaled as the\n"
      "model takes them. Classes are matched by name, as `classify --truth folder` does.\n"
      "A service that goes away is waited for, as long as --timeout says; if it does not come\n"
      "back, and after Ctrl-C, the figures are of the images that have an answer: PARTIAL, in\n"
      "--json with the others counted as not_classified.\n"
      "`stored` are the figures that the worker measured when it published the model, on the same\n"
      "data.\n"
      "Examples:\n  cytopress evaluate --model blood --dataset bloodmnist.npz\n"
      "  cytopress evaluate --model blood@2 --dataset bloodmnist.npz --csv scores.csv --tolerance "
      "1e-6");
  command->callback([context, flags] {
    context->set_command([context, flags] { return EvaluateModel(context, *flags); });
  });
}

}  // namespace cytopress
