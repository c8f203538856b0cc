#include "core/pipeline/ledger_line.h"

#include <map>
#include <string>

#include "core/base/status_macros.h"
#include "core/compression/encoding.h"
#include "core/compression/pruning.h"

namespace cytopress {
namespace {

absl::Status AddBytesOf(const std::map<std::string, StoredTensor>& tensors, StageOutcome& outcome) {
  CYTOPRESS_ASSIGN_OR_RETURN(const StoredBytes bytes, MeasureBytes(tensors));
  outcome.packed_bytes = bytes.packed;
  outcome.disk_bytes = bytes.disk;
  return absl::OkStatus();
}

}  // namespace

absl::Status AddBytesAsItStands(const Stage& stage, const PipelineState& state,
                                StageOutcome& outcome) {
  switch (stage.kind()) {
    case v1::STAGE_KIND_TRAIN:
    case v1::STAGE_KIND_PRUNE:
    case v1::STAGE_KIND_FINE_TUNE:
    case v1::STAGE_KIND_QUANTIZATION_AWARE_TRAINING:
      return AddBytesOf(EncodeFloats(state.network->Export(), v1::WEIGHT_TYPE_FP16), outcome);
    case v1::STAGE_KIND_QUANTIZE:
    case v1::STAGE_KIND_TEMPERATURE:
      return AddBytesOf(state.artifact.tensors, outcome);
    default:
      return absl::OkStatus();
  }
}

absl::Status AddLedgerLine(const Stage& stage, const StageOutcome& outcome,
                           const std::optional<Finding>& remark, absl::Duration duration,
                           PipelineState& state) {
  v1::LedgerEntry entry;
  entry.set_kind(stage.kind());
  entry.set_stage(stage.name());
  entry.set_seconds(absl::ToDoubleSeconds(duration));
  if (outcome.score) {
    entry.set_validation_accuracy(outcome.score->accuracy);
    entry.set_validation_auc(outcome.score->auc);
    entry.set_verdict(v1::GUARD_VERDICT_FINE);
  }
  if (remark) {
    entry.set_verdict(remark->verdict);
    entry.set_guard(remark->text);
  }
  entry.set_sparsity(outcome.sparsity ? *outcome.sparsity : Sparsity(*state.network));
  entry.set_dense_bytes(state.network->dense_bytes());
  entry.set_packed_bytes(outcome.packed_bytes);
  entry.set_disk_bytes(outcome.disk_bytes);
  entry.set_images_per_second(outcome.images_per_second);
  entry.set_note(outcome.note);
  entry.set_published(outcome.published);
  entry.set_attempt(state.context.attempt);
  if (stage.in_lineage()) state.ledger.push_back(entry);
  return state.context.observer->OnLedger(entry);
}

}  // namespace cytopress
