// cytopress-worker: runs compression jobs with LibTorch on one device.
#include <memory>
#include <utility>

#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/compression/blas.h"
#include "core/compression/precision.h"
#include "core/pipeline/pipeline.h"
#include "core/registry/model_registry.h"
#include "server/worker/worker_program.h"

namespace cytopress {
namespace {

// The pipeline's view of an attempt.
class AttemptObserver : public JobObserver {
 public:
  explicit AttemptObserver(JobAttempt* attempt) : attempt_(attempt) {}
  absl::Status OnProgress(const v1::Progress& progress) override {
    return attempt_->OnProgress(progress);
  }
  absl::Status OnLedger(const v1::LedgerEntry& entry) override { return attempt_->OnLedger(entry); }
  bool ShouldStop() override { return attempt_->ShouldStop(); }

 private:
  JobAttempt* const attempt_;
};

absl::StatusOr<RunJob> MakeRunJob(const WorkerSettings& settings) {
  // A worker without its device would fail one job after the other.
  CYTOPRESS_RETURN_IF_ERROR(ParseDevice(settings.device).status());
  CYTOPRESS_ASSIGN_OR_RETURN(ModelRegistry opened, ModelRegistry::Open(settings.models_folder));
  const std::shared_ptr<ModelRegistry> registry =
      std::make_shared<ModelRegistry>(std::move(opened));
  return RunJob(
      [settings, registry](const JobTask& task, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
        AttemptObserver observer(attempt);
        PipelineContext context;
        context.registry = registry.get();
        context.observer = &observer;
        context.job_id = task.job_id;
        context.work_folder = task.work_folder;
        context.device = settings.device;
        context.threads = settings.threads;
        context.attempt = task.attempt;
        CYTOPRESS_ASSIGN_OR_RETURN(PipelineResult result, RunPipeline(task.spec, context));
        return JobOutcome{std::move(result.model), std::move(result.parent_model)};
      });
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  cytopress::UseBlasKernelsOfThisCpu(argv);
  return cytopress::RunWorkerProgram(argc, argv, cytopress::MakeRunJob, cytopress::RealClock(),
                                     cytopress::CheckDevice);
}
