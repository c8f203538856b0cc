// What the stages of a compression job share.
#ifndef CYTOPRESS_CORE_PIPELINE_STAGE_H_
#define CYTOPRESS_CORE_PIPELINE_STAGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/artifact/artifact.h"
#include "core/compression/checkpoint.h"
#include "core/compression/pruning.h"
#include "core/compression/torch_network.h"
#include "core/compression/weight_rounding.h"
#include "core/dataset/dataset.h"
#include "core/pipeline/goal_search.h"
#include "core/pipeline/guard.h"
#include "core/pipeline/pipeline.h"

namespace cytopress {

// The dense model that the job's is made from and compared with.
struct DenseParent {
  std::string name;       // "name@version"; empty until there is one
  std::string published;  // the same, when this job made it
  Score score;            // of training, until it is published: then of its file as it is served
  // Its multiply-accumulates for each of the job's model, whose stem may be another.
  double macs_ratio = 1;
  torch::Tensor teacher_logits;  // of the training split; undefined until needed
};

// The model on its way through the stages.
struct PipelineState {
  PipelineState(const v1::JobSpec& spec, const PipelineContext& context, torch::Device device)
      : spec(spec),
        context(context),
        device(device),
        told_names(spec.dataset().class_names().begin(), spec.dataset().class_names().end()) {}

  const v1::JobSpec& spec;
  const PipelineContext& context;
  const torch::Device device;
  bool bfloat16 = false;  // of evaluations by LibTorch

  Dataset dataset;
  // What the data's classes are called by their label: as the job was told, or the base model's job
  // for the same data. Empty: as the data call them.
  std::vector<std::string> told_names;
  std::unique_ptr<TorchNetwork> network;
  Masks masks;               // empty until pruned
  WeightGrids frozen_grids;  // of quantization-aware training; empty without it
  DenseParent parent;
  std::vector<v1::LedgerEntry> ledger;  // of this model so far, of all attempts

  // Share of the prunable weights that the base model had lost before it was rounded, as its own
  // ledger says; nothing where that says nothing.
  std::optional<double> base_sparsity;

  GoalProgress goal;  // of the search for a goal
  // Of the goal's latest try: what each layer is to be, and for how many epochs it is trained.
  std::string try_plan;

  TensorMap unrounded;        // what weights were before the last quantize stage, if it may mend
  Artifact artifact;          // from the quantize stage on
  std::string artifact_path;  // from the package stage on
  std::string published;      // "name@version", the last that was; empty until one is
  std::string refused;        // why the last cell was not published; empty when it was
};

// What a stage says about the model it leaves; becomes the ledger line.
struct StageOutcome {
  std::optional<Score> score;
  std::optional<double> sparsity;  // the network's when it is not said
  int64_t packed_bytes = 0;  // of the file; 0 without one: the pipeline then measures the weights
  int64_t disk_bytes = 0;
  double images_per_second = 0;
  std::string note;
  std::string published;          // "name@version", when the stage published a model
  std::optional<Finding> remark;  // about what stops no job
};

class Stage;

// A stage's own progress; the pipeline adds the rest. `fraction` is of this stage.
using StageProgress = std::function<absl::Status(double fraction, v1::Progress progress)>;
// Saves what a stage needs to go on from here.
using StageCheckpoint = std::function<absl::Status(const TensorTable& stage_state)>;
// Runs a stage within a stage, from `begin` to `end` of the outer one's progress: checked, guarded
// and entered in the ledger like any other. `next` (may be null) comes right after it. A resumed
// job runs the outer stage from its start; one within that trains goes on where it was, if all that
// it began from is the same again.
using NestedStage =
    std::function<absl::Status(Stage& stage, const Stage* next, double begin, double end)>;

struct StageContext {
  StageProgress progress;
  StageCheckpoint checkpoint;
  NestedStage run;
  // What the stage saved in an earlier attempt that was stopped within it; empty otherwise.
  TensorTable resumed;
  // The time that the stage has taken so far, with that of earlier attempts whose work it, or a
  // stage within it, goes on with.
  std::function<absl::Duration()> taken = [] { return absl::ZeroDuration(); };
};

// The Stage::Cost, in forward passes, of a stage whose time does not matter.
inline constexpr double kNegligibleCost = 100;

// Used by the pipeline's thread alone.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual v1::StageKind kind() const = 0;
  virtual std::string name() const = 0;  // for people
  // Work in forward passes of one image, roughly: what the estimate of the time left is made from.
  virtual double Cost(const PipelineState& state) const = 0;
  // True when the outcome is only what a checkpoint keeps (job_checkpoint.h): a resumed job skips
  // the stage. Other stages run again.
  virtual bool skipped_on_resume() const { return false; }
  // Whether what follows is made from what it leaves: its line goes into their files' ledgers.
  virtual bool in_lineage() const { return true; }
  // Whether it can mend what the stage before it broke.
  virtual bool trains() const { return false; }
  virtual absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) = 0;
  // The `attempt`-th remedy (from 0) for a model that the collapse guard found broken after Run;
  // nothing when there is none left.
  virtual absl::StatusOr<std::optional<StageOutcome>> Mend(PipelineState& state,
                                                           StageContext& context, int attempt) {
    return std::nullopt;
  }
  // Checked after Run; INTERNAL when the stage left something broken.
  virtual absl::Status CheckInvariant(const PipelineState& state) const { return absl::OkStatus(); }
};

// The stages that a spec asks for, in order. `spec` has its defaults filled in.
std::vector<std::unique_ptr<Stage>> StagesFor(const v1::JobSpec& spec);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_STAGE_H_
