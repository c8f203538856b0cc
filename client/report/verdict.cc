#include "client/report/verdict.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "core/dataset/class_names.h"
#include "core/evaluation/evaluation.h"

namespace cytopress {
namespace {

std::string AucInterval(const v1::Evaluation& evaluation) {
  // Not computed; or every resample of a small split had the same, which says nothing of others.
  if (evaluation.auc_low() == evaluation.auc_high()) return "";
  return absl::StrFormat(" (95 %% interval %.4f to %.4f)", evaluation.auc_low(),
                         evaluation.auc_high());
}

std::string Accuracy(double accuracy, Notation notation) {
  return notation == Notation::kPercent ? FormatPercent(accuracy) : FormatFigure(accuracy);
}

// Without a sign before what is rounded to nothing.
std::string Points(double share) {
  const double points = 100 * share;
  return absl::StrFormat("%.2f", std::abs(points) < 0.005 ? 0.0 : points);
}

}  // namespace

bool IsAtChance(const v1::Evaluation& evaluation) {
  const auto classes = static_cast<int>(std::lround(std::sqrt(evaluation.confusion_size())));
  const bool whole = classes * classes == evaluation.confusion_size();
  int64_t images = 0, most = 0;
  for (int truth = 0; whole && truth < classes; ++truth) {
    int64_t own = 0;
    for (int i = 0; i < classes; ++i) own += evaluation.confusion(truth * classes + i);
    images += own;
    most = std::max(most, own);
  }
  if (images == 0) return evaluation.accuracy() < 0.5;
  if (evaluation.auc_low() > 0.5) return false;
  const auto right = std::llround(evaluation.accuracy() * static_cast<double>(images));
  return WilsonInterval(right, images).low <=
         static_cast<double>(most) / static_cast<double>(images);
}

Comparison CompareWithParent(const v1::Certificate& certificate) {
  if (certificate.has_parent_test() && IsAtChance(certificate.parent_test())) {
    return Comparison::kNotJudged;
  }
  if (certificate.mcnemar_p_value() >= kSignificance) return Comparison::kNoDifference;
  return certificate.only_parent_right() > certificate.only_model_right() ? Comparison::kWorse
                                                                          : Comparison::kBetter;
}

std::string McNemarInWords(const v1::Certificate& certificate) {
  const Comparison comparison = CompareWithParent(certificate);
  if (comparison == Comparison::kNotJudged) return "the dense model is at chance: not judged";
  const char* const words = comparison == Comparison::kWorse    ? "worse than the dense model"
                            : comparison == Comparison::kBetter ? "better than the dense model"
                                                                : "no significant difference to "
                                                                  "the dense model";
  return absl::StrFormat("%s (%s): %s only that one gets right, %d only this one", words,
                         PValueInWords(certificate.mcnemar_p_value()),
                         FormatImages(certificate.only_parent_right()),
                         certificate.only_model_right());
}

std::string PValueInWords(double p_value) {
  return p_value < 0.001 ? "p < 0.001" : absl::StrFormat("p = %.3g", p_value);
}

std::optional<Loss> LossOf(const v1::Certificate& certificate) {
  const v1::Evaluation& parent = certificate.parent_test();
  if (parent.images() == 0 || IsAtChance(parent)) return std::nullopt;
  PairedCounts counts;
  const auto images = static_cast<double>(parent.images());
  counts.only_first_right = certificate.only_parent_right();
  counts.only_second_right = certificate.only_model_right();
  counts.both_right = std::llround(parent.accuracy() * images) - counts.only_first_right;
  counts.none_right =
      parent.images() - counts.both_right - counts.only_first_right - counts.only_second_right;
  // Of a file that is not ours.
  if (counts.both_right < 0 || counts.none_right < 0) return std::nullopt;
  const Interval interval = PairedDifferenceInterval(counts);
  const auto lost = static_cast<double>(counts.only_first_right - counts.only_second_right);
  return Loss{lost / images, interval.low, interval.high};
}

std::string LossInWords(const v1::Certificate& certificate) {
  const std::optional<Loss> loss = LossOf(certificate);
  if (!loss.has_value()) return "";
  const bool gained = loss->lost < 0;
  return absl::StrFormat("%s points %s (95 %% interval %s to %s)", Points(std::abs(loss->lost)),
                         gained ? "gained" : "lost", Points(gained ? -loss->high : loss->low),
                         Points(gained ? -loss->low : loss->high));
}

std::string AgainstParent(const v1::Model& model, Notation notation) {
  const v1::Evaluation* const test = EvaluationOn(model, "test");
  if (test == nullptr || !model.certificate().has_parent_test()) return "";
  const double parent = model.certificate().parent_test().accuracy();
  const double points = 100 * (test->accuracy() - parent);
  if (std::abs(points) < 0.005) return "equal to the dense model's";
  return absl::StrFormat("%.2f points %s the dense model's %s", std::abs(points),
                         points < 0 ? "below" : "above", Accuracy(parent, notation));
}

double ParentsLowestRecall(const v1::Certificate& certificate) {
  const int index = certificate.lowest_recall_class();
  const auto& recall = certificate.parent_test().class_recall();
  return index >= 0 && index < recall.size() ? recall[index] : std::nan("");
}

v1::GuardVerdict VerdictOf(const v1::LedgerEntry& line) {
  const bool says_nothing = line.verdict() == v1::GUARD_VERDICT_UNSPECIFIED && line.guard().empty();
  return says_nothing ? v1::GUARD_VERDICT_FINE : line.verdict();
}

absl::string_view InWords(v1::GuardVerdict verdict) {
  switch (verdict) {
    case v1::GUARD_VERDICT_FINE:
      return "well";
    case v1::GUARD_VERDICT_MENDED:
      return "mended";
    case v1::GUARD_VERDICT_TRAINING_FOLLOWS:
      return "training follows";
    case v1::GUARD_VERDICT_OTHER_DATA:
      return "other data";
    case v1::GUARD_VERDICT_LOST_TOO_MUCH:
      return "lost too much";
    case v1::GUARD_VERDICT_COLLAPSED:
      return "collapsed";
    default:
      return "see the remark";
  }
}

v1::GuardVerdict VerdictOf(const v1::Model& model) {
  for (int i = model.ledger_size() - 1; i >= 0; --i) {
    if (model.ledger(i).has_validation_accuracy()) return VerdictOf(model.ledger(i));
  }
  return v1::GUARD_VERDICT_FINE;
}

std::string ClassName(const v1::Model& model, int index) {
  if (index < 0 || index >= model.class_names_size()) return DefaultClassName(index);
  return model.class_names(index);
}

std::string TimesSmaller(const v1::ModelSize& size, absl::string_view times) {
  if (size.disk_bytes() <= 0) return "-";
  return absl::StrFormat(
      "%.1f%s", static_cast<double>(size.dense_bytes()) / static_cast<double>(size.disk_bytes()),
      times);
}

std::vector<CertificateFact> CertificateFacts(const v1::Model& model, Notation notation) {
  const v1::Evaluation* test = EvaluationOn(model, "test");
  if (!model.has_certificate() || test == nullptr) return {};
  const v1::Certificate& certificate = model.certificate();
  const v1::Evaluation& parent = certificate.parent_test();
  const v1::Evaluation& weights_only = certificate.weights_only_test();
  const bool compared = certificate.has_parent_test();
  std::vector<CertificateFact> facts;
  facts.push_back(
      {"accuracy",
       absl::StrFormat("%s (95 %% interval %s to %s)%s", Accuracy(test->accuracy(), notation),
                       Accuracy(test->accuracy_low(), notation),
                       Accuracy(test->accuracy_high(), notation),
                       compared ? ", " + AgainstParent(model, notation) : "")});
  facts.push_back({"AUC", absl::StrCat(FormatFigure(test->auc()), AucInterval(*test),
                                       compared ? ", dense " + FormatFigure(parent.auc()) : "")});
  if (compared) facts.push_back({"McNemar's test", McNemarInWords(certificate)});
  if (std::string loss = LossInWords(certificate); !loss.empty()) {
    facts.push_back({"difference", std::move(loss)});
  }
  const double dense_recall = ParentsLowestRecall(certificate);
  facts.push_back(
      {"lowest recall",
       absl::StrCat(FormatPercent(certificate.lowest_recall()), ", ",
                    ClassName(model, certificate.lowest_recall_class()),
                    std::isnan(dense_recall) ? "" : ", dense " + FormatPercent(dense_recall))});
  facts.push_back(
      {"calibration",
       absl::StrFormat("expected error %.4f", test->expected_calibration_error()) +
           (compared ? absl::StrFormat(", dense %.4f", parent.expected_calibration_error()) : "")});
  facts.push_back(
      {"weights alone", absl::StrFormat("ACC %s, AUC %s, without the rounding of activations",
                                        Accuracy(weights_only.accuracy(), notation),
                                        FormatFigure(weights_only.auc()))});
  facts.push_back({"size", absl::StrCat(FormatBytes(model.size().disk_bytes()), " on disk, ",
                                        TimesSmaller(model.size()), " smaller than FP32")});
  facts.push_back({"latency", absl::StrCat(FormatMilliseconds(certificate.latency_seconds()),
                                           " for one image on one thread, ", certificate.engine(),
                                           ", ", certificate.processor())});
  return facts;
}

const v1::Evaluation* EvaluationOn(const v1::Model& model, absl::string_view split) {
  for (const v1::Evaluation& evaluation : model.evaluations()) {
    if (evaluation.split() == split) return &evaluation;
  }
  return nullptr;
}

}  // namespace cytopress
