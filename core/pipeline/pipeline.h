// A compression job from its spec to a published model: load, train, prune, fine-tune, quantize,
// package, evaluate, publish.
#ifndef CYTOPRESS_CORE_PIPELINE_PIPELINE_H_
#define CYTOPRESS_CORE_PIPELINE_PIPELINE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// Hears how a job goes. Called from the pipeline's thread. An error stops the job with that error.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  virtual absl::Status OnProgress(const v1::Progress& progress) = 0;
  virtual absl::Status OnLedger(const v1::LedgerEntry& entry) = 0;
  // Asked at every training step; true stops the job with CANCELLED.
  virtual bool ShouldStop() = 0;
};

struct PipelineContext {
  ModelRegistry* registry = nullptr;
  JobObserver* observer = nullptr;
  std::string job_id;       // publication key and checkpoint identity
  std::string work_folder;  // checkpoints of this job; kept between attempts, removed on success
  std::string device = "cpu";
  int threads = 0;  // of LibTorch; 0 = all cores
  int attempt = 1;
};

struct PipelineResult {
  std::string model;         // "name@version"
  std::string parent_model;  // "name@version" of the dense model trained on the way; may be empty
};

// Runs one attempt; the result names the last model of a sweep, and FAILED_PRECONDITION says that
// none was published. Resumes from the checkpoints in the work folder. CANCELLED when the observer
// said so; IsRetryable (core/jobs/job_state.h) says after which errors another attempt makes sense.
absl::StatusOr<PipelineResult> RunPipeline(const v1::JobSpec& spec, const PipelineContext& context);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_PIPELINE_H_
