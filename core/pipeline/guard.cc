#include "core/pipeline/guard.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/str_format.h"

namespace cytopress {
namespace {

// A worse dense model may have any habit.
constexpr double kLeastDenseAccuracy = 0.5;
// One answer for so many images, and for so many more than the dense model has for one answer.
constexpr double kNearlyAll = 0.7;
constexpr double kMoreThanDense = 0.2;
// Of a dense model itself: for so many more than are of the most frequent class.
constexpr double kMoreThanImages = 0.1;
// What has to be reachable where one class is (nearly) everything.
constexpr double kAlmostAll = 0.99;
// What the dense model has to know of a class, and how much more of it than a model that has lost
// it. Less is for the tolerance to judge: of many images, any difference is beyond chance.
constexpr int64_t kLeastClassImages = 5;
constexpr double kLeastClassRecall = 0.5;
constexpr double kLostRecall = 0.3;
constexpr char kRefusal[] = "cytopress/model-refused";

template <typename Counts>
Score MakeScore(double accuracy, double auc, const Counts& confusion) {
  Score score;
  score.accuracy = accuracy;
  score.auc = auc;
  const auto classes = static_cast<int>(std::lround(std::sqrt(confusion.size())));
  int64_t images = 0, most = -1, most_images = 0;
  for (int truth = 0; truth < classes; ++truth) {
    int64_t own = 0;
    for (int prediction = 0; prediction < classes; ++prediction) {
      own += confusion[truth * classes + prediction];
    }
    most_images = std::max(most_images, own);
    const int64_t right = confusion[truth * classes + truth];
    score.by_class.push_back({right, own});
    if (own > 0 && right == 0) score.missed = truth;
  }
  for (int prediction = 0; prediction < classes; ++prediction) {
    int64_t answered = 0;
    for (int truth = 0; truth < classes; ++truth) {
      answered += confusion[truth * classes + prediction];
    }
    images += answered;
    if (answered > most) {
      most = answered;
      score.answer = prediction;
    }
  }
  if (images > 0) {
    score.answer_share = static_cast<double>(most) / static_cast<double>(images);
    score.class_share = static_cast<double>(most_images) / static_cast<double>(images);
  }
  return score;
}

// REQUIRES: the class has images.
double RecallOf(const ClassRecall& own) {
  return static_cast<double>(own.right) / static_cast<double>(own.images);
}

bool IsLost(const ClassRecall& now, const ClassRecall& dense) {
  if (now.images == 0 || dense.images < kLeastClassImages) return false;
  if (RecallOf(dense) < kLeastClassRecall) return false;
  if (IsWithin(RecallOf(dense) - RecallOf(now), kLostRecall)) return false;
  return WilsonInterval(now.right, now.images).high < WilsonInterval(dense.right, dense.images).low;
}

// Names the class that lost most.
std::optional<Finding> FindLostClass(const Score& score, const Score& dense,
                                     const std::vector<std::string>& class_names) {
  if (dense.accuracy < kLeastDenseAccuracy) return std::nullopt;
  double most = 0;
  size_t worst = 0;
  for (size_t c = 0; c < std::min(score.by_class.size(), dense.by_class.size()); ++c) {
    if (!IsLost(score.by_class[c], dense.by_class[c])) continue;
    const double loss = RecallOf(dense.by_class[c]) - RecallOf(score.by_class[c]);
    if (loss > most) {
      most = loss;
      worst = c;
    }
  }
  if (most == 0) return std::nullopt;
  return Finding{
      v1::GUARD_VERDICT_LOST_TOO_MUCH,
      absl::StrFormat(
          "class '%s' is lost: %d of %d right on the validation split, %d by the dense model",
          class_names[worst], score.by_class[worst].right, score.by_class[worst].images,
          dense.by_class[worst].right)};
}

}  // namespace

Score ScoreOf(const Evaluation& evaluation) {
  return MakeScore(evaluation.accuracy, evaluation.auc, evaluation.confusion);
}

Score ScoreOf(const v1::Evaluation& evaluation) {
  return MakeScore(evaluation.accuracy(), evaluation.auc(), evaluation.confusion());
}

std::optional<Finding> FindCollapse(const Score& score, const Score& dense, double tolerance,
                                    const std::vector<std::string>& class_names) {
  const std::string measured =
      absl::StrFormat("validation accuracy %.4f, %.4f below the dense model", score.accuracy,
                      dense.accuracy - score.accuracy);
  if (dense.accuracy >= kLeastDenseAccuracy && score.answer_share >= kNearlyAll &&
      score.answer_share > dense.answer_share &&
      score.answer_share >= std::min(dense.answer_share + kMoreThanDense, kAlmostAll)) {
    return Finding{v1::GUARD_VERDICT_COLLAPSED,
                   absl::StrFormat("collapsed: %.0f %% of the answers are '%s' (%s)",
                                   100 * score.answer_share, class_names[score.answer], measured)};
  }
  if (tolerance <= 0) return std::nullopt;
  if (!IsWithin(dense.accuracy - score.accuracy, tolerance)) {
    return Finding{v1::GUARD_VERDICT_LOST_TOO_MUCH,
                   absl::StrFormat("lost too much: %s, and recipe.max_accuracy_drop is %g",
                                   measured, tolerance)};
  }
  return FindLostClass(score, dense, class_names);
}

absl::Status RefuseModel(absl::string_view message) {
  absl::Status status = absl::FailedPreconditionError(message);
  status.SetPayload(kRefusal, absl::Cord());
  return status;
}

bool IsModelRefused(const absl::Status& status) { return status.GetPayload(kRefusal).has_value(); }

std::optional<Finding> RemarkOnDense(const Score& dense,
                                     const std::vector<std::string>& class_names) {
  const double share =
      std::max(kNearlyAll, std::min(dense.class_share + kMoreThanImages, kAlmostAll));
  if (dense.missed < 0 || dense.answer_share < share) return std::nullopt;
  return Finding{
      v1::GUARD_VERDICT_COLLAPSED,
      absl::StrFormat(
          "collapsed: %.0f %% of the dense model's answers are '%s', and no image of '%s' is right",
          100 * dense.answer_share, class_names[dense.answer], class_names[dense.missed])};
}

}  // namespace cytopress
