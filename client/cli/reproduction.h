// Making a model again from its receipt, and comparing what came out.
#ifndef CYTOPRESS_CLIENT_CLI_REPRODUCTION_H_
#define CYTOPRESS_CLIENT_CLI_REPRODUCTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

struct Reproduction {
  v1::JobSpec spec;
  std::string model_name;     // under which the job publishes the model
  bool job_may_fail = false;  // it publishes the model all the same
};

// The job that makes `model` again under `name`: the same recipe, seed and parent on the same data.
// Of a sweep only what the model was made from; of the dense parent that a job made on its way only
// the training; of a goal's try only it and the tries before it. FAILED_PRECONDITION when the model
// has no receipt.
absl::StatusOr<Reproduction> PlanReproduction(const v1::Model& model, const std::string& name);

struct ComparedItem {
  std::string name;
  std::string original;
  std::string reproduced;
  bool same = false;
};

struct ComparedModels {
  std::vector<ComparedItem> items;
  // The same processor, number of threads and libraries: then bits are compared, else scores.
  bool same_environment = false;
  bool same_bits = false;  // tensors, activation ranges and all scores
  bool equal = false;      // the verdict
  std::string verdict;     // in words
};

struct StoredModel {
  v1::Model model;    // as the registry shows it
  Artifact artifact;  // its file
};

// `tolerance`: by how much test accuracy and AUC may differ when the environments do.
ComparedModels CompareModels(const StoredModel& original, const StoredModel& reproduced,
                             double tolerance);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_REPRODUCTION_H_
