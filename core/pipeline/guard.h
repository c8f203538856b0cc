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

// The images of one class.
struct ClassScore {
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
  std::vector<ClassScore> by_class;  // empty where it is not known
};

Score ScoreOf(const Evaluation& evaluation);
Score ScoreOf(const v1::Evaluation& evaluation);

// What is wrong with a model, for programs and for people.
struct Finding {
  v1::GuardVerdict verdict = v1::GUARD_VERDICT_UNSPECIFIED;
  std::string text;
};

// Why `score` is that of a broken model, or nothing: (nearly) one answer for all images, which the
// dense model does not give (COLLAPSED); or, unless `tolerance` is 0, an accuracy that is more than
// that below the dense model's, or a class that is lost (both LOST_TOO_MUCH). Lost is a class of at
// least 5 images that the dense model knows (recall of 0.5 and more), whose recall is more than 0.3
// below the dense model's, and by more than chance: their 95 % Wilson intervals are disjoint. A
// dense model that is right on less than half of the images is no measure of the answers, only of
// the accuracy.
std::optional<Finding> FindCollapse(const Score& score, const Score& dense, double tolerance,
                                    const std::vector<std::string>& class_names);

// FAILED_PRECONDITION that refuses a model, which others of the same job may outlive. Everything
// else of that code, like training that diverged, is about the job.
absl::Status RefuseModel(absl::string_view message);
bool IsModelRefused(const absl::Status& status);

// What is wrong with the dense model itself, which has nothing to be compared with: (nearly) one
// answer for all images, more than have that class, while another class is never right (COLLAPSED).
std::optional<Finding> RemarkOnDense(const Score& dense,
                                     const std::vector<std::string>& class_names);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_GUARD_H_
