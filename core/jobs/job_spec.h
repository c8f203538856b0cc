// Checks of a job's specification.
#ifndef CYTOPRESS_CORE_JOBS_JOB_SPEC_H_
#define CYTOPRESS_CORE_JOBS_JOB_SPEC_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <string>
#include <vector>

#include "cytopress/v1/job.pb.h"

namespace cytopress {

struct FieldViolation {
  std::string field;        // path in the JobSpec, e.g. "recipe.prune.sparsity"; empty: all of it
  std::string description;  // the value, what is wrong, what to do
};

// More would not fit into the trailer of an answer.
inline constexpr size_t kMaxViolations = 32;

// The fields of `message` itself, not of messages within it, that this release does not know, at
// most kMaxViolations. `name` is what the message is called.
std::vector<FieldViolation> UnknownFields(const google::protobuf::Message& message,
                                          const std::string& name);

// What can be known to be wrong without touching the data, at most kMaxViolations; empty when it is
// fine.
std::vector<FieldViolation> ValidateJobSpec(const v1::JobSpec& spec);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_JOB_SPEC_H_
