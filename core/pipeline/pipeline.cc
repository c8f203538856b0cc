#include "core/pipeline/pipeline.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
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
#include "core/compression/precision.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/job_spec.h"
#include "core/pipeline/job_checkpoint.h"
#include "core/pipeline/job_estimate.h"
#include "core/pipeline/ledger_line.h"
#include "core/pipeline/mending.h"
#include "core/pipeline/network_steps.h"
#include "core/pipeline/stage.h"
#include "core/pipeline/stage_clock.h"
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

// How far stages go: a try has a cell, which trains.
constexpr size_t kDeepest = 2;

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
    CYTOPRESS_ASSIGN_OR_RETURN(TensorTable resumed, LoadCheckpoint(checkpoint_path_));
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
    return PipelineResult{state_.published, state_.parent.published};
  }

 private:
  // Of an earlier attempt; empty to start over. What may be read another time is an error: the next
  // checkpoint would replace it.
  static absl::StatusOr<TensorTable> LoadCheckpoint(const std::string& path) {
    absl::StatusOr<TensorTable> loaded = LoadTensors(path);
    if (absl::IsNotFound(loaded.status())) return TensorTable();
    if (absl::IsDataLoss(loaded.status())) {
      CYTOPRESS_RETURN_IF_ERROR(SetAside(path, loaded.status().message()));
      return TensorTable();
    }
    return loaded;
  }

  absl::Status RunStage(size_t index, const TensorTable& resumed) {
    Stage& stage = *stages_[index];
    const bool done_before = index < resume_index_;
    if (done_before && stage.skipped_on_resume()) return absl::OkStatus();
    stage_index_ = index;
    times_.Begin();
    spent_before_ = state_.goal.spent;
    StageContext context;
    // Before the first stage nothing is known of what is to be resumed.
    if (index > 0 && index == resume_index_ && resumed.count("epoch") != 0) {
      context.resumed = resumed;
      times_.Take(resumed);
    }
    context.progress = [this](double fraction, v1::Progress progress) {
      return Report(fraction, std::move(progress));
    };
    context.checkpoint = [this, index](TensorTable table) {
      times_.Put(table);
      return Save(index, std::move(table));
    };
    context.taken = [this] { return times_.Taken(); };
    context.run = [this](Stage& nested, const Stage* next, double begin, double end) {
      return RunNested(nested, next, begin, end);
    };
    CYTOPRESS_RETURN_IF_ERROR(Report(0, {}));
    // A stage that is only repeated to rebuild its result has its line already.
    const WhatFollows following{WhoMends(index), state_.spec.has_sweep()};
    const absl::Status done = Execute(stage, context, following, !done_before);
    if (absl::IsDataLoss(done) && !context.resumed.empty()) {  // or the next attempt would meet it
      CYTOPRESS_RETURN_IF_ERROR(SetAside(checkpoint_path_, done.message()));
    }
    CYTOPRESS_RETURN_IF_ERROR(done);
    CYTOPRESS_RETURN_IF_ERROR(Report(1, {}));
    if (!stage.skipped_on_resume()) return absl::OkStatus();
    const absl::Status saved = Save(index + 1, {});
    if (WarnedOfNoRoom(saved)) return absl::OkStatus();  // what is within may yet be resumed
    CYTOPRESS_RETURN_IF_ERROR(saved);
    RemoveNested();
    return absl::OkStatus();
  }

  absl::Status RunNested(Stage& stage, const Stage* next, double begin, double end) {
    times_.BeginNested();
    const absl::Status done = RunWithin(stage, next, begin, end);
    times_.EndNested();
    return done;
  }

  // A restarted job begins the outer stage again, and repeats what is quickly done; training goes
  // on. For that it has a file of its own, which leaves the job's as it was before the outer stage.
  absl::Status RunWithin(Stage& stage, const Stage* next, double begin, double end) {
    StageContext context;
    context.progress = [&](double fraction, v1::Progress progress) {
      const std::string outer = stages_[stage_index_]->name(), inner = stage.name();
      progress.set_stage(absl::StrCat(outer, ": ", absl::StripPrefix(inner, outer + " ")));
      return Report(begin + fraction * (end - begin), std::move(progress));
    };
    context.taken = [this] { return times_.Taken(); };
    context.run = [&](Stage& nested, const Stage* nested_next, double nested_begin,
                      double nested_end) {
      const double length = end - begin;
      return RunNested(nested, nested_next, begin + nested_begin * length,
                       begin + nested_end * length);
    };
    CYTOPRESS_RETURN_IF_ERROR(context.progress(0, {}));
    const std::string path = NestedPath(times_.depth());
    std::string origin;
    if (stage.trains() && stage.kind() != v1::STAGE_KIND_CELL) {  // of a cell, what is in it saves
      origin = NestedOrigin(absl::StrCat(stages_[stage_index_]->name(), "/", stage.name()), state_);
      CYTOPRESS_ASSIGN_OR_RETURN(context.resumed, LoadNested(path, origin));
    }
    context.checkpoint = [&](TensorTable table) {
      times_.Put(table);
      PutNested(origin, state_, table);
      return SaveTensors(table, path);
    };
    const WhatFollows following{next != nullptr && next->trains() ? next->name() : "", false};
    const absl::Status done = Execute(stage, context, following, /*enter=*/true);
    if (absl::IsDataLoss(done) && !context.resumed.empty()) {
      CYTOPRESS_RETURN_IF_ERROR(SetAside(path, done.message()));
    }
    return done;
  }

  // What the stage within a stage that has begun saved in an earlier attempt; empty to begin it
  // anew.
  absl::StatusOr<TensorTable> LoadNested(const std::string& path, const std::string& origin) {
    CYTOPRESS_ASSIGN_OR_RETURN(TensorTable table, LoadCheckpoint(path));
    if (table.empty()) return table;
    const absl::Status taken = TakeNested(origin, table, state_);
    if (absl::IsDataLoss(taken)) {
      CYTOPRESS_RETURN_IF_ERROR(SetAside(path, taken.message()));
      return TensorTable();
    }
    CYTOPRESS_RETURN_IF_ERROR(taken);
    times_.Take(table);
    estimate_.Leap();
    spdlog::info("resuming job {} within the stage {}", state_.context.job_id,
                 stages_[stage_index_]->name());
    return table;
  }

  std::string NestedPath(size_t depth) const {
    return absl::StrCat(state_.context.work_folder, "/nested", depth, ".pt");
  }

  void RemoveNested() const {
    for (size_t depth = 1; depth <= kDeepest; ++depth) {
      std::error_code error;  // what stays fits no other stage
      std::filesystem::remove(NestedPath(depth), error);
    }
  }

  absl::Status Execute(Stage& stage, StageContext& context, const WhatFollows& following,
                       bool enter) {
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, stage.Run(state_, context));
    CYTOPRESS_RETURN_IF_ERROR(stage.CheckInvariant(state_));
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<Finding> remark,
                               JudgeAndMend(stage, state_, context, following, outcome));
    if (!enter) return absl::OkStatus();
    const absl::Duration duration = times_.Taken();
    CYTOPRESS_RETURN_IF_ERROR(AddBytesAsItStands(stage, state_, outcome));
    return AddLedgerLine(stage, outcome, remark, duration, state_);
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
      if (IsTry(stage_index_)) work.budget_left -= times_.TakenByOuter();
    }
    return work;
  }

  absl::Status Report(double fraction, v1::Progress progress) {
    CYTOPRESS_RETURN_IF_ERROR(CheckStop(state_));
    const JobEstimate::Result estimate = estimate_.Update(WorkAt(fraction));
    if (progress.stage().empty()) progress.set_stage(stages_[stage_index_]->name());
    progress.set_stage_index(static_cast<int>(stage_index_));
    progress.set_stage_count(static_cast<int>(stages_.size()));
    progress.set_fraction(estimate.fraction);
    progress.set_eta_seconds(estimate.eta_seconds);
    return state_.context.observer->OnProgress(progress);
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
  StageClock times_{RealClock()};
  absl::Duration spent_before_;  // by the search for a goal, before this stage
  size_t resume_index_ = 0;
};

}  // namespace

absl::StatusOr<PipelineResult> RunPipeline(const v1::JobSpec& spec,
                                           const PipelineContext& context) {
  const v1::JobSpec complete = WithDefaults(spec);
  if (const auto violations = ValidateJobSpec(complete); !violations.empty()) {
    const std::string& field = violations.front().field;
    return absl::InvalidArgumentError(
        absl::StrCat(field.empty() ? "the job" : field, ": ", violations.front().description));
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
