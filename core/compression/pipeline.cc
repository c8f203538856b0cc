#include "core/compression/pipeline.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/out_of_memory.h"
#include "core/base/status_macros.h"
#include "core/compression/checkpoint.h"
#include "core/compression/encoding.h"
#include "core/compression/job_checkpoint.h"
#include "core/compression/job_estimate.h"
#include "core/compression/mending.h"
#include "core/compression/precision.h"
#include "core/compression/stage.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/job_spec.h"
#include "spdlog/spdlog.h"

namespace cytopress {
namespace {

absl::Status OutOfMemory(const v1::JobSpec& spec, absl::string_view details) {
  const v1::Recipe& recipe = spec.recipe();
  const int batch = std::max({recipe.train().batch_size(), recipe.finetune().batch_size(),
                              recipe.quantize().aware().batch_size()});
  return absl::ResourceExhaustedError(
      absl::StrCat("out of memory", details.empty() ? "" : absl::StrCat(" (", details, ")"),
                   "; in training use a smaller batch_size (", batch,
                   "), in quantization a smaller recipe.quantize.calibration_images (",
                   recipe.quantize().calibration_images(), ")"));
}

// What a stage took in the attempts that were stopped within it.
constexpr char kStageSeconds[] = "stage_seconds";

absl::Duration StageTime(const TensorTable& resumed) {
  const auto seconds = resumed.find(kStageSeconds);
  return seconds == resumed.end() ? absl::ZeroDuration()
                                  : absl::Seconds(seconds->second.item<double>());
}

// Runs the stages in order, with a checkpoint, a progress report and a ledger line for each.
class PipelineRun {
 public:
  PipelineRun(const v1::JobSpec& spec, const PipelineContext& context, torch::Device device)
      : state_(spec, context, device),
        stages_(StagesFor(spec)),
        checkpoint_path_(context.work_folder + "/checkpoint.pt") {}

  absl::StatusOr<PipelineResult> Run() {
    CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(state_.context.work_folder));
    CYTOPRESS_ASSIGN_OR_RETURN(state_.bfloat16,
                               UseBfloat16(PrecisionOfScores(state_.spec.recipe()), state_.device));
    CYTOPRESS_ASSIGN_OR_RETURN(TensorTable resumed, LoadCheckpoint());
    for (size_t index = 0; index < stages_.size(); ++index) {
      CYTOPRESS_RETURN_IF_ERROR(RunStage(index, resumed));
      // The network exists once the first stage has run.
      if (index == 0 && !resumed.empty()) CYTOPRESS_RETURN_IF_ERROR(Restore(resumed));
      if (index >= resume_index_) resumed.clear();  // has been used, and takes a network's memory
    }
    if (state_.published.empty()) {
      return absl::FailedPreconditionError(
          "the sweep has published no model: the collapse guard refused each, and the ledger says "
          "why; prune less, fine-tune longer, keep more bits, or raise recipe.max_accuracy_drop (0 "
          "allows any loss)");
    }
    return PipelineResult{state_.published, state_.published_parent};
  }

 private:
  // Of an earlier attempt; empty to start over. What may be read another time is an error: the next
  // checkpoint would replace it.
  absl::StatusOr<TensorTable> LoadCheckpoint() const {
    absl::StatusOr<TensorTable> loaded = LoadTensors(checkpoint_path_);
    if (absl::IsNotFound(loaded.status())) return TensorTable();
    if (absl::IsDataLoss(loaded.status())) {
      CYTOPRESS_RETURN_IF_ERROR(SetAside(checkpoint_path_, loaded.status().message()));
      return TensorTable();
    }
    return loaded;
  }

  absl::Status RunStage(size_t index, const TensorTable& resumed) {
    Stage& stage = *stages_[index];
    const bool done_before = index < resume_index_;
    if (done_before && stage.skipped_on_resume()) return absl::OkStatus();
    stage_index_ = index;
    stage_start_ = RealClock()->Steady();
    spent_before_ = state_.goal.spent;
    StageContext context;
    if (index == resume_index_ && resumed.count("epoch") != 0) context.resumed = resumed;
    context.progress = [this](double fraction, v1::Progress progress) {
      return Report(fraction, std::move(progress));
    };
    const absl::Duration before = StageTime(context.resumed);
    context.checkpoint = [this, index, before](TensorTable table) {
      const absl::Duration so_far = before + (RealClock()->Steady() - stage_start_);
      table[kStageSeconds] = torch::tensor(absl::ToDoubleSeconds(so_far), torch::kFloat64);
      return Save(index, table);
    };
    context.run = [this](Stage& nested, const Stage* next, double begin, double end) {
      return RunNested(nested, next, begin, end);
    };
    CYTOPRESS_RETURN_IF_ERROR(Report(0, {}));
    // A stage that is only repeated to rebuild its result has its line already.
    const Sequel sequel{WhoMends(index), state_.spec.has_sweep()};
    const absl::Status done = Execute(stage, context, sequel, !done_before);
    if (absl::IsDataLoss(done) && !context.resumed.empty()) {  // or the next attempt would meet it
      CYTOPRESS_RETURN_IF_ERROR(SetAside(checkpoint_path_, done.message()));
    }
    CYTOPRESS_RETURN_IF_ERROR(done);
    CYTOPRESS_RETURN_IF_ERROR(Report(1, {}));
    if (!stage.skipped_on_resume()) return absl::OkStatus();
    const absl::Status saved = Save(index + 1, {});
    return WarnedOfNoRoom(saved) ? absl::OkStatus() : saved;
  }

  // A stage within a stage: a restarted job begins the outer one again, so nothing is saved.
  absl::Status RunNested(Stage& stage, const Stage* next, double begin, double end) {
    StageContext context;
    context.progress = [&](double fraction, v1::Progress progress) {
      const std::string outer = stages_[stage_index_]->name(), inner = stage.name();
      progress.set_stage(absl::StrCat(outer, ": ", absl::StripPrefix(inner, outer + " ")));
      return Report(begin + fraction * (end - begin), std::move(progress));
    };
    context.checkpoint = [](const TensorTable&) { return absl::OkStatus(); };
    context.run = [&](Stage& nested, const Stage* nested_next, double nested_begin,
                      double nested_end) {
      const double length = end - begin;
      return RunNested(nested, nested_next, begin + nested_begin * length,
                       begin + nested_end * length);
    };
    CYTOPRESS_RETURN_IF_ERROR(context.progress(0, {}));
    const Sequel sequel{next != nullptr && next->trains() ? next->name() : "", false};
    return Execute(stage, context, sequel, /*enter=*/true);
  }

  absl::Status Execute(Stage& stage, StageContext& context, const Sequel& sequel, bool enter) {
    const absl::Duration start = RealClock()->Steady();
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, stage.Run(state_, context));
    CYTOPRESS_RETURN_IF_ERROR(stage.CheckInvariant(state_));
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<Finding> remark,
                               JudgeAndMend(stage, state_, context, sequel, outcome));
    if (!enter) return absl::OkStatus();
    const absl::Duration duration = StageTime(context.resumed) + (RealClock()->Steady() - start);
    CYTOPRESS_RETURN_IF_ERROR(AddBytesAsItStands(stage, outcome));
    return AddLedgerLine(stage, outcome, remark, duration);
  }

  // The stage that goes on training right after this one, if there is one. Of several models that
  // are each made from what it leaves, all have to. A published cell or try stays as it is.
  std::string WhoMends(size_t index) const {
    if (!stages_[index]->in_lineage()) return "";
    std::string mender;
    for (size_t next = index + 1; next < stages_.size(); ++next) {
      const Stage& stage = *stages_[next];
      if (!mender.empty() && stage.in_lineage()) break;
      if (!stage.trains()) return "";
      if (mender.empty()) mender = stage.name();
      if (stage.in_lineage()) break;
    }
    return mender;
  }

  bool IsTry(size_t index) const { return stages_[index]->kind() == v1::STAGE_KIND_TRY; }

  // Whatever an earlier attempt did counts as done: progress goes on from there.
  JobWork WorkAt(double fraction) const {
    JobWork work;
    for (size_t i = 0; i < stages_.size(); ++i) {
      work.costs.push_back(stages_[i]->Cost(state_));
      if (!IsTry(i)) continue;
      if (work.tries_end == 0) work.tries_begin = i;
      work.tries_end = i + 1;
      const std::optional<size_t> left_out = state_.goal.out_of_time_at;
      if (left_out && i >= work.tries_begin + *left_out) work.costs.back() = 0;
    }
    work.index = stage_index_;
    work.fraction = fraction;
    work.longest_try = state_.goal.longest_try;
    const double budget_seconds = state_.spec.goal().time_budget_seconds();
    if (budget_seconds > 0) {
      work.budget_left = absl::Seconds(budget_seconds) - spent_before_;
      if (IsTry(stage_index_)) work.budget_left -= RealClock()->Steady() - stage_start_;
    }
    return work;
  }

  absl::Status Report(double fraction, v1::Progress progress) {
    if (state_.context.observer->ShouldStop()) return absl::CancelledError("the job was stopped");
    const JobEstimate::Result estimate = estimate_.Update(WorkAt(fraction));
    if (progress.stage().empty()) progress.set_stage(stages_[stage_index_]->name());
    progress.set_stage_index(static_cast<int>(stage_index_));
    progress.set_stage_count(static_cast<int>(stages_.size()));
    progress.set_fraction(estimate.fraction);
    progress.set_eta_seconds(estimate.eta_seconds);
    return state_.context.observer->OnProgress(progress);
  }

  // What the model takes where a stage has changed its weights and written no file.
  absl::Status AddBytesAsItStands(const Stage& stage, StageOutcome& outcome) const {
    switch (stage.kind()) {
      case v1::STAGE_KIND_TRAIN:
      case v1::STAGE_KIND_PRUNE:
      case v1::STAGE_KIND_FINE_TUNE:
      case v1::STAGE_KIND_QUANTIZATION_AWARE_TRAINING:
        return AddBytesOf(EncodeFloats(state_.network->Export(), v1::WEIGHT_TYPE_FP16), outcome);
      case v1::STAGE_KIND_QUANTIZE:
      case v1::STAGE_KIND_TEMPERATURE:
        return AddBytesOf(state_.artifact.tensors, outcome);
      default:
        return absl::OkStatus();
    }
  }

  static absl::Status AddBytesOf(const std::map<std::string, StoredTensor>& tensors,
                                 StageOutcome& outcome) {
    CYTOPRESS_ASSIGN_OR_RETURN(const StoredBytes bytes, MeasureBytes(tensors));
    outcome.packed_bytes = bytes.packed;
    outcome.disk_bytes = bytes.disk;
    return absl::OkStatus();
  }

  absl::Status AddLedgerLine(const Stage& stage, const StageOutcome& outcome,
                             const std::optional<Finding>& remark, absl::Duration duration) {
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
    entry.set_sparsity(outcome.sparsity ? *outcome.sparsity : Sparsity(*state_.network));
    entry.set_dense_bytes(state_.network->dense_bytes());
    entry.set_packed_bytes(outcome.packed_bytes);
    entry.set_disk_bytes(outcome.disk_bytes);
    entry.set_images_per_second(outcome.images_per_second);
    entry.set_note(outcome.note);
    entry.set_published(outcome.published);
    entry.set_attempt(state_.context.attempt);
    if (stage.in_lineage()) state_.ledger.push_back(entry);
    return state_.context.observer->OnLedger(entry);
  }

  // `next` is the stage to go on with; `table` its own state, if it has begun.
  absl::Status Save(size_t next, TensorTable table) {
    PutState(next, state_, table);
    return SaveTensors(table, checkpoint_path_);
  }

  absl::Status Restore(const TensorTable& table) {
    const absl::StatusOr<size_t> next = TakeState(table, state_);
    if (absl::IsDataLoss(next.status())) return SetAside(checkpoint_path_, next.status().message());
    CYTOPRESS_RETURN_IF_ERROR(next.status());
    resume_index_ = *next;
    spdlog::info("resuming job {} at the stage {}", state_.context.job_id,
                 stages_[std::min(resume_index_, stages_.size() - 1)]->name());
    return absl::OkStatus();
  }

  PipelineState state_;
  std::vector<std::unique_ptr<Stage>> stages_;
  JobEstimate estimate_{RealClock()};
  const std::string checkpoint_path_;
  size_t stage_index_ = 0;
  absl::Duration stage_start_;
  absl::Duration spent_before_;  // by the search for a goal, before this stage
  size_t resume_index_ = 0;
};

}  // namespace

absl::StatusOr<PipelineResult> RunPipeline(const v1::JobSpec& spec,
                                           const PipelineContext& context) {
  const v1::JobSpec complete = WithDefaults(spec);
  if (const auto violations = ValidateJobSpec(complete); !violations.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(violations.front().field, ": ", violations.front().description));
  }
  try {
    ConfigureTorch(context.threads);
    CYTOPRESS_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(context.device));
    return PipelineRun(complete, context, device).Run();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(complete, "");
  } catch (const c10::Error& error) {
    const absl::string_view what = error.what_without_backtrace();
    if (SaysOutOfMemory(what)) return OutOfMemory(complete, what);
    return absl::InternalError(absl::StrCat("LibTorch: ", what));
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace cytopress
