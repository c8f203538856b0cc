// What a certificate and the collapse guard say, in plain words.
#ifndef CYTOPRESS_CLIENT_REPORT_VERDICT_H_
#define CYTOPRESS_CLIENT_REPORT_VERDICT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

// Below this a difference on the same images is called real.
inline constexpr double kSignificance = 0.05;

// Whether nothing shows that a model knows anything: by the 95 % interval of its accuracy it is no
// better than one that always gives the most frequent class, and by that of its AUC, if there is
// one, no better than a coin. Then it has nothing to lose, and nothing is judged against it.
// Without a confusion matrix, whether its accuracy is below one half.
bool IsAtChance(const v1::Evaluation& evaluation);

// How a model does against its dense parent, by McNemar's test.
enum class Comparison { kNoDifference, kWorse, kBetter, kNotJudged };
Comparison CompareWithParent(const v1::Certificate& certificate);
// "no significant difference to the dense model (p = 0.424): 12 images only it gets right, 9 only
// this one".
std::string McNemarInWords(const v1::Certificate& certificate);
// "p = 0.424"; "p < 0.001" for what is smaller.
std::string PValueInWords(double p_value);

// How accuracies are written: "95.32 %" or "0.9532".
enum class Notation { kPercent, kFraction };

// "0.09 points below the dense model's 97.14 %", on the test split. Empty for a model without a
// dense one to compare with, or without an evaluation on that split.
std::string AgainstParent(const v1::Model& model, Notation notation = Notation::kPercent);

// What a model lost of its parent's accuracy on the test split, and the 95 % interval of what it
// loses on images like those. Shares of the images; below zero it gained.
struct Loss {
  double lost = 0;
  double low = 0, high = 0;
};
// Nothing where the parent is at chance or has no images.
std::optional<Loss> LossOf(const v1::Certificate& certificate);
// "0.26 points lost (95 % interval -0.09 to 0.63)", or gained, with the interval of the gain. Empty
// where there is no loss to tell of.
std::string LossInWords(const v1::Certificate& certificate);

// The dense model's recall of the class whose recall is the lowest here; NaN when it is not known.
double ParentsLowestRecall(const v1::Certificate& certificate);

// What the guard found after a stage. Lines of earlier releases say it in words only: FINE where
// there are none, else UNSPECIFIED.
v1::GuardVerdict VerdictOf(const v1::LedgerEntry& line);
// "well", "mended", "training follows", "other data", "lost too much", "collapsed", "see the
// remark".
absl::string_view InWords(v1::GuardVerdict verdict);

// The verdict on the finished file: that of the last line that has a score.
v1::GuardVerdict VerdictOf(const v1::Model& model);

// By the model, "class 3" of one that it has no name for.
std::string ClassName(const v1::Model& model, int index);

// "73.1x": how many times smaller than in FP32 the model's file is; `times` stands for the "x". "-"
// where there is no file.
std::string TimesSmaller(const v1::ModelSize& size, absl::string_view times = "x");

// A line of a certificate: "calibration", "expected error 0.0123, dense 0.0111". The text may hold
// what others wrote (client/format.h).
struct CertificateFact {
  const char* name;
  std::string text;
};
// Empty for a model without a certificate, or without an evaluation on the test split.
std::vector<CertificateFact> CertificateFacts(const v1::Model& model,
                                              Notation notation = Notation::kPercent);

// The evaluation on `split`, or null.
const v1::Evaluation* EvaluationOn(const v1::Model& model, absl::string_view split);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_VERDICT_H_
