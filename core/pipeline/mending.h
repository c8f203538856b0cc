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
struct Sequel {
  std::string mender;         // a stage that goes on training right away; may be empty
  bool judged_later = false;  // every model made from this one is judged by itself
};

// What the ledger says of the guard about `outcome`, nothing when all is well. Tries the stage's
// remedies one after the other, unless training follows or the recipe only wants a report;
// `outcome` becomes that of the one that helped. When none did, refuses the model (RefuseModel), or
// where later stages judge leaves the most accurate network of all that were tried, that of before
// among them. Else errors of the stage.
absl::StatusOr<std::optional<Finding>> JudgeAndMend(Stage& stage, PipelineState& state,
                                                    StageContext& context, const Sequel& sequel,
                                                    StageOutcome& outcome);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_MENDING_H_
