// What the ledger says of a stage that has ended.
#ifndef CYTOPRESS_CORE_PIPELINE_LEDGER_LINE_H_
#define CYTOPRESS_CORE_PIPELINE_LEDGER_LINE_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/pipeline/guard.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Adds to `outcome` what the model takes where the stage has changed its weights and written no
// file.
absl::Status AddBytesAsItStands(const Stage& stage, const PipelineState& state,
                                StageOutcome& outcome);

// Tells the job's observer; a stage in the lineage gets its line in the state's ledger, too.
// `remark` is what the collapse guard says. Errors of the observer.
absl::Status AddLedgerLine(const Stage& stage, const StageOutcome& outcome,
                           const std::optional<Finding>& remark, absl::Duration duration,
                           PipelineState& state);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_LEDGER_LINE_H_
