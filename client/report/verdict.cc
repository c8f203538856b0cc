#include "client/report/verdict.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "core/evaluation/evaluation.h"

namespace cytopress {

bool IsAtChance(const v1::Evaluation& evaluation) {
  const auto classes = static_cast<int>(std::lround(std::sqrt(evaluation.confusion_size())));
  int64_t images = 0, most = 0;
  for (int truth = 0; truth < classes; ++truth) {
    int64_t own = 0;
    for (int i = 0; i < classes; ++i) own += evaluation.confusion(truth * classes + i);
    images += own;
    most = std::max(most, own);
  }
  if (images == 0) return evaluation.accuracy() < 0.5;
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

GuardVerdict VerdictOf(absl::string_view remark) {
  if (remark.empty()) return GuardVerdict::kFine;
  if (absl::StrContains(remark, "; mended: ")) return GuardVerdict::kMended;
  if (absl::EndsWith(remark, " follows")) return GuardVerdict::kTemporary;
  if (absl::StartsWith(remark, "other data")) return GuardVerdict::kOtherData;
  return absl::StartsWith(remark, "collapsed") ? GuardVerdict::kCollapsed
                                               : GuardVerdict::kLostTooMuch;
}

absl::string_view InWords(GuardVerdict verdict) {
  switch (verdict) {
    case GuardVerdict::kFine:
      return "well";
    case GuardVerdict::kMended:
      return "mended";
    case GuardVerdict::kTemporary:
      return "training follows";
    case GuardVerdict::kOtherData:
      return "other data";
    case GuardVerdict::kLostTooMuch:
      return "lost too much";
    case GuardVerdict::kCollapsed:
      return "collapsed";
  }
  return "";
}

GuardVerdict VerdictOf(const v1::Model& model) {
  for (int i = model.ledger_size() - 1; i >= 0; --i) {
    if (model.ledger(i).validation_accuracy() > 0) return VerdictOf(model.ledger(i).guard());
  }
  return GuardVerdict::kFine;
}

const v1::Evaluation* EvaluationOn(const v1::Model& model, absl::string_view split) {
  for (const v1::Evaluation& evaluation : model.evaluations()) {
    if (evaluation.split() == split) return &evaluation;
  }
  return nullptr;
}

}  // namespace cytopress
