#include "client/report/verdict.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "client/format.h"
#include "core/evaluation/evaluation.h"

namespace cytopress {

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
  return absl::StrFormat("%s (p = %.3g): %s only that one gets right, %d only this one", words,
                         certificate.mcnemar_p_value(),
                         FormatImages(certificate.only_parent_right()),
                         certificate.only_model_right());
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

const v1::Evaluation* EvaluationOn(const v1::Model& model, absl::string_view split) {
  for (const v1::Evaluation& evaluation : model.evaluations()) {
    if (evaluation.split() == split) return &evaluation;
  }
  return nullptr;
}

}  // namespace cytopress
