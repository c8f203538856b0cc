// Notices a model that compression broke.
#ifndef CYTOPRESS_CORE_PIPELINE_GUARD_H_
#define CYTOPRESS_CORE_PIPELINE_GUARD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/evaluation/evaluation.h"
#include "cytopress/v1/job.pb.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

// Of the images of one class, how many are right.
struct ClassRecall {
  int64_t right = 0;
  int64_t images = 0;
};

// What a stage's model scores on the validation split, as far as the guard and the ledger need it.
struct Score {
  double accuracy = 0;
  double auc = 0;
  int answer = 0;           // the class that is answered most often
  double answer_share = 0;  // the share of the images that get it
  double class_share = 0;   // the share of the images that are of the most frequent class
  int missed = -1;          // a class with images of which none is right; -1 when there is none
  std::vector<ClassRecall> by_class;  // empty where it is not known
};

Score ScoreOf(const Evaluation& evaluation);
Score ScoreOf(const v1::Evaluation& evaluation);

// What is wrong with a model, for programs and for people.
struct Finding {
  v1::GuardVerdict verdict = v1::GUARD_VERDICT_UNSPECIFIED;
  std::string text;
};

// Why `score` is that of a broken model, or nothing. The first of these that holds:
// 1. COLLAPSED: (nearly) one answer for all images, which the dense model does not give. Its share
//    is at least 0.7, and at least 0.2 above that of the dense model's most frequent answer; where
//    that leaves no room, at least 0.99 and above the dense model's.
// 2. LOST_TOO_MUCH: an accuracy that is more than `tolerance` below the dense model's.
// 3. LOST_TOO_MUCH: a class that is lost. The dense model knows it (at least 5 images, a recall of
//    at least 0.5), and its recall is now more than 0.3 below the dense model's, and by more than
//    chance: their 95 % Wilson intervals are disjoint.
// With a `tolerance` of 0 only the first counts. A dense model that is right on less than half of
// the images is no measure of the answers: then only the second does.
std::optional<Finding> FindCollapse(const Score& score, const Score& dense, double tolerance,
                                    const std::vector<std::string>& class_names);

// FAILED_PRECONDITION that refuses a model, which others of the same job may outlive. Everything
// else of that code, like training that diverged, is about the job.
absl::Status RefuseModel(absl::string_view message);
bool IsModelRefused(const absl::Status& status);

// What is wrong with the dense model itself, which has nothing to be compared with (COLLAPSED):
// one answer for a share of the images of at least 0.7, and at least 0.1 above that of the most
// frequent class (0.99 where that leaves no room), while a class is never right.
std::optional<Finding> RemarkOnDense(const Score& dense,
                                     const std::vector<std::string>& class_names);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_GUARD_H_
