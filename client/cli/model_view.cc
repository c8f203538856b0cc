#include "client/cli/model_view.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/console.h"
#include "client/cli/job_printer.h"
#include "client/names.h"
#include "client/report/verdict.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr char kSyntheticNote[] = "drawn by the program: its figures say nothing about real cells";

std::string Share(int64_t part, int64_t whole) {
  return whole <= 0 ? "-" : FormatPercent(static_cast<double>(part) / whole, 1);
}

// "int8"; of a model that has both, who chose them.
std::string WeightsInWords(const v1::Model& model) {
  const std::string weights = WeightsOf(model);
  if (weights == NameOf(model.weights())) return weights;
  if (model.provenance().spec().has_goal()) return weights + " by layer, as the search chose";
  const auto& layers = model.provenance().spec().recipe().quantize().layer_weights();
  const auto int8 = std::count_if(layers.begin(), layers.end(), [](const auto& layer) {
    return layer.second == v1::WEIGHT_TYPE_INT8;
  });
  return absl::StrCat(weights, " by layer, ", int8, int8 == 1 ? " layer" : " layers",
                      " INT8 by the recipe");
}

// What becomes of an image on its way into the network.
std::string PreprocessingInWords(const v1::Preprocessing& preprocessing) {
  const std::string size = absl::StrCat(preprocessing.width(), "x", preprocessing.height());
  const int square = preprocessing.center_crop();
  std::string words = absl::StrCat(
      preprocessing.channels() == 1 ? "gray" : "RGB", ", ", size, " pixels as they are; of others ",
      square > 0 ? absl::StrCat(square, "x", square, " pixels")
      : preprocessing.width() == preprocessing.height() ? "the largest square"
                                                        : "the largest part of that shape",
      " from the centre, scaled to ", size);
  if (preprocessing.jpeg_quality() > 0) {
    absl::StrAppend(&words, " and saved once as JPEG of quality ", preprocessing.jpeg_quality());
  }
  return words;
}

// Of the 95 % interval of the accuracy, in points: "0.6".
std::string HalfInterval(const v1::Evaluation& evaluation) {
  const double width = evaluation.accuracy_high() - evaluation.accuracy_low();
  return width > 0 ? FormatFigure(100 * width / 2, 1) : "-";
}

void PrintEvaluation(const v1::Evaluation& evaluation, std::ostream* out) {
  *out << absl::StrFormat(
      "  %-11s ACC %s (95 %% interval %s to %s), AUC %s, calibration error %.3f, %d images, %s\n",
      absl::StrCat(Printable(evaluation.split()), ":"), FormatPercent(evaluation.accuracy()),
      FormatPercent(evaluation.accuracy_low()), FormatPercent(evaluation.accuracy_high()),
      FormatFigure(evaluation.auc()), evaluation.expected_calibration_error(), evaluation.images(),
      Printable(evaluation.engine()));
}

void PrintCertificate(const v1::Model& model, std::ostream* out) {
  const std::vector<CertificateFact> facts = CertificateFacts(model);
  if (facts.empty()) return;
  const v1::Certificate& certificate = model.certificate();
  *out << "\ncertificate: " << ToString(model)
       << (certificate.has_parent_test()
               ? absl::StrCat(" against ", Printable(certificate.parent()))
               : "")
       << ", " << EvaluationOn(model, "test")->images() << " test images\n";
  for (const CertificateFact& fact : facts) {
    *out << absl::StrFormat("  %-16s %s\n", fact.name, Printable(fact.text));
  }
}

std::string Versions(const v1::Provenance& provenance) {
  const std::map<std::string, std::string> sorted(provenance.versions().begin(),
                                                  provenance.versions().end());
  std::string text;
  for (const auto& [library, version] : sorted) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", Printable(library), " ", Printable(version));
  }
  return text;
}

void PrintProvenance(const v1::Model& model, std::ostream* out) {
  const v1::Provenance& provenance = model.provenance();
  if (!provenance.imported_from().empty()) {
    *out << "  imported:   " << FormatTimestamp(provenance.created()) << " from "
         << Printable(provenance.imported_from()) << '\n';
    return;
  }
  *out << "  made:       " << FormatTimestamp(provenance.created()) << " by job "
       << Printable(provenance.job_id()) << ", recipe "
       << Printable(provenance.spec().recipe().name()) << ", seed "
       << provenance.spec().recipe().seed() << '\n';
  if (!provenance.parent().empty()) {
    *out << "  from:       " << Printable(provenance.parent()) << '\n';
  }
  *out << "  data set:   " << Printable(provenance.dataset_name()) << "  "
       << Printable(provenance.dataset_hash()) << '\n';
  if (!provenance.processor().empty()) {
    *out << "  with:       " << Versions(provenance) << "; " << Printable(provenance.processor())
         << ", " << provenance.threads() << " threads"
         << (provenance.device().empty() ? "" : ", " + Printable(provenance.device())) << "\n";
  }
}

// Rows are the truth, columns the prediction.
void PrintConfusion(const v1::Model& model, const v1::Evaluation& evaluation, std::ostream* out) {
  const int classes = model.class_names_size();
  if (classes == 0 || evaluation.confusion_size() != classes * classes) return;
  *out << "\nconfusion on " << Printable(evaluation.split())
       << " (rows: truth, columns: prediction)\n";
  std::vector<std::string> headings = {"", ">recall"};
  for (int i = 0; i < classes; ++i) headings.push_back(absl::StrCat(">", i));
  Table table(std::move(headings));
  for (int truth = 0; truth < classes; ++truth) {
    const double recall =
        truth < evaluation.class_recall_size() ? evaluation.class_recall(truth) : std::nan("");
    std::vector<std::string> row = {absl::StrCat(truth, " ", model.class_names(truth)),
                                    FormatPercent(recall, 1)};
    for (int prediction = 0; prediction < classes; ++prediction) {
      row.push_back(absl::StrCat(evaluation.confusion(truth * classes + prediction)));
    }
    table.AddRow(std::move(row));
  }
  table.Print(out);
}

}  // namespace

const v1::Evaluation* MainEvaluation(const v1::Model& model) {
  const v1::Evaluation* const test = EvaluationOn(model, "test");
  if (test != nullptr || model.evaluations().empty()) return test;
  return &*model.evaluations().rbegin();
}

void PrintModelTable(const std::vector<v1::Model>& models, std::ostream* out, int columns) {
  Table table({"model", "network", "weights", ">sparsity", ">on disk", ">smaller", ">ACC", ">±",
               ">AUC", "split", "data set", "made"});
  table.SetExpendable({"network", "data set", "split", "made", "±"});
  for (const v1::Model& model : models) {
    const v1::Evaluation* evaluation = MainEvaluation(model);
    table.AddRow({ToString(model), model.network().architecture(), WeightsOf(model),
                  FormatPercent(model.size().sparsity(), 1), FormatBytes(model.size().disk_bytes()),
                  TimesSmaller(model.size()),
                  evaluation == nullptr ? "-" : FormatPercent(evaluation->accuracy()),
                  evaluation == nullptr ? "-" : HalfInterval(*evaluation),
                  evaluation == nullptr ? "-" : FormatFigure(evaluation->auc()),
                  evaluation == nullptr ? "-" : evaluation->split(),
                  model.provenance().dataset_name(),
                  FormatTimestamp(model.provenance().created())});
  }
  table.Print(out, columns);
}

void PrintModelSummary(const v1::Model& model, std::ostream* out) {
  const v1::ModelSize& size = model.size();
  *out << ToString(model) << '\n';
  *out << absl::StrFormat("  network:    %s, stem %s, %dx%dx%d, %d classes\n",
                          Printable(model.network().architecture()), NameOf(model.network().stem()),
                          model.network().input_width(), model.network().input_height(),
                          model.network().input_channels(), model.class_names_size());
  if (model.has_preprocessing()) {
    *out << "  images:     " << PreprocessingInWords(model.preprocessing()) << '\n';
  }
  *out << absl::StrFormat(
      "  weights:    %s, %s of the prunable ones are zero, %d of %d left (%s)\n",
      WeightsInWords(model), FormatPercent(size.sparsity(), 1), size.nonzero_parameters(),
      size.parameters(), Share(size.nonzero_parameters(), size.parameters()));
  *out << absl::StrFormat("  size:       dense %s -> packed %s -> on disk %s (%s smaller)\n",
                          FormatBytes(size.dense_bytes()), FormatBytes(size.packed_bytes()),
                          FormatBytes(size.disk_bytes()), TimesSmaller(size));
  for (const v1::Evaluation& evaluation : model.evaluations()) PrintEvaluation(evaluation, out);
  if (model.provenance().synthetic_data()) *out << "  SYNTHETIC:  " << kSyntheticNote << '\n';
}

void PrintLosses(const v1::Model& model, std::ostream* out) {
  if (const std::string loss = AgainstParent(model); !loss.empty()) {
    *out << "  accuracy:   " << loss << '\n';
  }
  for (const v1::LedgerEntry& line : model.ledger()) {
    // Whether that training helped, a later line says.
    if (line.guard().empty() || line.verdict() == v1::GUARD_VERDICT_TRAINING_FOLLOWS) continue;
    *out << "  the guard found something: " << Printable(line.stage()) << ": "
         << Printable(line.guard()) << '\n';
  }
}

void PrintModelDetails(const v1::Model& model, std::ostream* out, int columns) {
  PrintModelSummary(model, out);
  PrintProvenance(model, out);
  *out << "  sha256:     " << Printable(model.sha256()) << '\n';
  PrintCertificate(model, out);
  if (model.ledger_size() > 0) {
    *out << '\n';
    PrintLedger(model.ledger(), out, columns);
  }
  const v1::Evaluation* evaluation = MainEvaluation(model);
  if (evaluation != nullptr) PrintConfusion(model, *evaluation, out);
}

}  // namespace cytopress
