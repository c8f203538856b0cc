#include "client/cli/model_view.h"

#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/console.h"
#include "client/cli/job_printer.h"
#include "client/names.h"
#include "client/report/verdict.h"
#include "core/dataset/class_names.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr char kSyntheticNote[] = "drawn by the program: its figures say nothing about real cells";

std::string Ratio(int64_t dense, int64_t small) {
  if (small <= 0) return "-";
  return absl::StrFormat("%.1fx", static_cast<double>(dense) / static_cast<double>(small));
}

std::string Share(int64_t part, int64_t whole) {
  return whole <= 0 ? "-" : FormatPercent(static_cast<double>(part) / whole, 1);
}

// What becomes of an image on its way into the network.
std::string PreprocessingInWords(const v1::Preprocessing& preprocessing) {
  const std::string size = absl::StrCat(preprocessing.width(), "x", preprocessing.height());
  const int square = preprocessing.center_crop();
  std::string words = absl::StrCat(
      preprocessing.channels() == 1 ? "gray" : "RGB", ", ", size, " pixels as they are; of others ",
      square > 0 ? absl::StrCat(square, "x", square, " pixels") : "the largest square",
      " from the centre, scaled to ", size);
  if (preprocessing.jpeg_quality() > 0) {
    absl::StrAppend(&words, " and saved once as JPEG of quality ", preprocessing.jpeg_quality());
  }
  return words;
}

void PrintEvaluation(const v1::Evaluation& evaluation, std::ostream* out) {
  *out << absl::StrFormat(
      "  %-11s ACC %s (95 %% interval %s to %s), AUC %s, calibration error %.3f, %d images, %s\n",
      absl::StrCat(Printable(evaluation.split()), ":"), FormatPercent(evaluation.accuracy()),
      FormatPercent(evaluation.accuracy_low()), FormatPercent(evaluation.accuracy_high()),
      FormatFigure(evaluation.auc()), evaluation.expected_calibration_error(), evaluation.images(),
      Printable(evaluation.engine()));
}

// "0.09 points below the dense model's".
std::string AgainstParent(double value, double parent) {
  const double points = 100 * (value - parent);
  if (std::abs(points) < 0.005) return "equal to the dense model's";
  return absl::StrFormat("%.2f points %s the dense model's %s", std::abs(points),
                         points < 0 ? "below" : "above", FormatPercent(parent));
}

std::string AucInterval(const v1::Evaluation& evaluation) {
  // Not computed; or every resample of a small split had the same, which says nothing of others.
  if (evaluation.auc_low() == evaluation.auc_high()) return "";
  return absl::StrFormat(" (95 %% interval %.4f to %.4f)", evaluation.auc_low(),
                         evaluation.auc_high());
}

std::string ClassName(const v1::Model& model, int index) {
  if (index < 0 || index >= model.class_names_size()) return DefaultClassName(index);
  return Printable(model.class_names(index));
}

void PrintCertificate(const v1::Model& model, std::ostream* out) {
  const v1::Evaluation* test = EvaluationOn(model, "test");
  if (!model.has_certificate() || test == nullptr) return;
  const v1::Certificate& certificate = model.certificate();
  const v1::Evaluation& parent = certificate.parent_test();
  const v1::Evaluation& weights_only = certificate.weights_only_test();
  const auto line = [out](const char* name, const std::string& text) {
    *out << absl::StrFormat("  %-16s %s\n", name, text);
  };
  const bool compared = certificate.has_parent_test();
  *out << "\ncertificate: " << ToString(model)
       << (compared ? absl::StrCat(" against ", Printable(certificate.parent())) : "") << ", "
       << test->images() << " test images\n";
  line("accuracy",
       absl::StrFormat("%s (95 %% interval %s to %s)%s", FormatPercent(test->accuracy()),
                       FormatPercent(test->accuracy_low()), FormatPercent(test->accuracy_high()),
                       compared ? ", " + AgainstParent(test->accuracy(), parent.accuracy()) : ""));
  line("AUC", absl::StrCat(FormatFigure(test->auc()), AucInterval(*test),
                           compared ? ", dense " + FormatFigure(parent.auc()) : ""));
  if (compared) line("McNemar's test", McNemarInWords(certificate));
  if (const std::string loss = LossInWords(certificate); !loss.empty()) line("difference", loss);
  const double dense_recall = ParentsLowestRecall(certificate);
  line("lowest recall",
       absl::StrCat(FormatPercent(certificate.lowest_recall()), ", ",
                    ClassName(model, certificate.lowest_recall_class()),
                    std::isnan(dense_recall) ? "" : ", dense " + FormatPercent(dense_recall)));
  line("calibration",
       absl::StrFormat("expected error %.4f", test->expected_calibration_error()) +
           (compared ? absl::StrFormat(", dense %.4f", parent.expected_calibration_error()) : ""));
  line("weights alone",
       absl::StrFormat("ACC %s, AUC %s, without the rounding of activations",
                       FormatPercent(weights_only.accuracy()), FormatFigure(weights_only.auc())));
  line("size",
       absl::StrFormat("%s on disk, %s smaller than FP32", FormatBytes(model.size().disk_bytes()),
                       Ratio(model.size().dense_bytes(), model.size().disk_bytes())));
  line("latency", absl::StrCat(FormatMilliseconds(certificate.latency_seconds()),
                               " for one image on one thread, ", Printable(certificate.engine()),
                               ", ", Printable(certificate.processor())));
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

void PrintModelTable(const std::vector<v1::Model>& models, std::ostream* out) {
  Table table({"model", "network", "weights", ">sparsity", ">on disk", ">smaller", ">ACC", ">AUC",
               "split", "data set", "made"});
  for (const v1::Model& model : models) {
    const v1::Evaluation* evaluation = MainEvaluation(model);
    table.AddRow({ToString(model), model.network().architecture(), NameOf(model.weights()),
                  FormatPercent(model.size().sparsity(), 1), FormatBytes(model.size().disk_bytes()),
                  Ratio(model.size().dense_bytes(), model.size().disk_bytes()),
                  evaluation == nullptr ? "-" : FormatPercent(evaluation->accuracy()),
                  evaluation == nullptr ? "-" : FormatFigure(evaluation->auc()),
                  evaluation == nullptr ? "-" : evaluation->split(),
                  model.provenance().dataset_name(),
                  FormatTimestamp(model.provenance().created())});
  }
  table.Print(out);
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
      NameOf(model.weights()), FormatPercent(size.sparsity(), 1), size.nonzero_parameters(),
      size.parameters(), Share(size.nonzero_parameters(), size.parameters()));
  *out << absl::StrFormat("  size:       dense %s -> packed %s -> on disk %s (%s smaller)\n",
                          FormatBytes(size.dense_bytes()), FormatBytes(size.packed_bytes()),
                          FormatBytes(size.disk_bytes()),
                          Ratio(size.dense_bytes(), size.disk_bytes()));
  for (const v1::Evaluation& evaluation : model.evaluations()) PrintEvaluation(evaluation, out);
  if (model.provenance().synthetic_data()) *out << "  SYNTHETIC:  " << kSyntheticNote << '\n';
}

void PrintModelDetails(const v1::Model& model, std::ostream* out) {
  PrintModelSummary(model, out);
  PrintProvenance(model, out);
  *out << "  sha256:     " << Printable(model.sha256()) << '\n';
  PrintCertificate(model, out);
  if (model.ledger_size() > 0) {
    *out << '\n';
    PrintLedger(model.ledger(), out);
  }
  const v1::Evaluation* evaluation = MainEvaluation(model);
  if (evaluation != nullptr) PrintConfusion(model, *evaluation, out);
}

}  // namespace cytopress
