// Checks and defaults of a job's specification.
#ifndef CYTOPRESS_CORE_JOBS_JOB_SPEC_H_
#define CYTOPRESS_CORE_JOBS_JOB_SPEC_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

struct FieldViolation {
  std::string field;        // path in the JobSpec, e.g. "recipe.prune.sparsity"; empty: all of it
  std::string description;  // the value, what is wrong, what to do
};

// More would not fit into the trailer of an answer.
inline constexpr size_t kMaxViolations = 32;

// What can be known to be wrong without touching the data, at most kMaxViolations; empty when it is
// fine.
std::vector<FieldViolation> ValidateJobSpec(const v1::JobSpec& spec);

// The spec with every field that is absent, or zero where zero is no choice, set to what will be
// used: what is stored, run and shown. Without a base model there is always a training stage; with
// one there is none, and no network. Quantization is always there (FP16 when nothing was asked).
// Pruning and fine-tuning are never added.
v1::JobSpec WithDefaults(v1::JobSpec spec);

// Whether the job trains a dense model that later stages are measured against or learn from, and
// publishes it under the second name. `spec` has its defaults.
bool PublishesParent(const v1::JobSpec& spec);
std::string ParentModelName(const std::string& model_name);

// "paper", "lossless", "quick" or "dense" filled in; INVALID_ARGUMENT lists the names.
absl::StatusOr<v1::Recipe> NamedRecipe(absl::string_view name);
std::vector<std::string> RecipeNames();

// The name of a sweep's model, for example "blood-s80-int4" of "blood" at a sparsity of 0.8.
std::string SweepModelName(const std::string& model_name, double sparsity, v1::WeightType weights);

// The name of a goal's try, counted from 1, for example "blood-try2" of "blood"; and the number
// again of a model with such a name, nothing of others.
std::string GoalTryName(const std::string& model_name, int number);
std::optional<int> GoalTryNumber(absl::string_view name, const std::string& model_name);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_JOB_SPEC_H_
