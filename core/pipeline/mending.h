// What becomes of a stage's model that the collapse guard finds broken.
#ifndef CYTOPRESS_CORE_PIPELINE_MENDING_H_
#define CYTOPRESS_CORE_PIPELINE_MENDING_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/pipeline/guard.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// What comes after a stage, as far as a finding of the guard depends on it.
struct WhatFollows {
  std::string mender;         // a stage that goes on training right away; may be empty
  bool judged_later = false;  // every model made from this one is judged by itself
};

// What the ledger says of the guard about `outcome`, nothing when all is well. Tries the stage's
// remedies one after the other, unless training follows or the recipe only wants a report;
// `outcome` becomes that of the one that helped. If no remedy helps: where models are judged later,
// keeps the most accurate network among the original and all remedies, with its outcome; otherwise
// refuses the model (RefuseModel). Other errors are the stage's.
absl::StatusOr<std::optional<Finding>> JudgeAndMend(Stage& stage, PipelineState& state,
                                                    StageContext& context,
                                                    const WhatFollows& following,
                                                    StageOutcome& outcome);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_MENDING_H_
