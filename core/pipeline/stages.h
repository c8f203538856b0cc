// The stages, one function each. REQUIRES: options have their defaults filled in.
#ifndef CYTOPRESS_CORE_PIPELINE_STAGES_H_
#define CYTOPRESS_CORE_PIPELINE_STAGES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Reads the data set and the base model, or makes a fresh network.
std::unique_ptr<Stage> MakeLoadStage();

// Takes the dense parent's weights again and forgets all masks: for the next sparsity of a sweep
// that starts from the dense model each time, and for each try of a goal.
std::unique_ptr<Stage> MakeRestartStage(const std::string& name);

// Trains from scratch.
std::unique_ptr<Stage> MakeTrainStage(const v1::TrainOptions& options);

struct PruneStageOptions {
  v1::PruneOptions prune;
  bool reestimate_batch_norm = false;  // where no fine-tuning follows that does
};

// Removes weights at once.
std::unique_ptr<Stage> MakePruneStage(const std::string& name, const PruneStageOptions& options);

struct FinetuneOptions {
  v1::TrainOptions train;
  std::optional<v1::PruneOptions> gradual;  // prunes on the way
  bool reestimate_batch_norm = false;       // afterwards
  // For all of it and for `cost_after`, of what follows, as Stage::Cost has it. Epochs that there
  // is no time for are left out, but for one at least; how many are trained then stands in
  // state.goal.epochs.
  absl::Duration time_limit = absl::InfiniteDuration();
  double cost_after = 0;
};
// Trains what is left, on a learning-rate schedule of its own (LearningRateFactor in trainer.h).
std::unique_ptr<Stage> MakeFinetuneStage(const std::string& name, const FinetuneOptions& options);

// Quantization-aware training on scales found at its start; leaves rounded weights.
std::unique_ptr<Stage> MakeQatStage(const v1::QuantizeOptions& options);

// Encodes the weights and, for integer arithmetic, calibrates the activations. The network then
// holds what the encoded weights stand for: the ledger shows the weight-only loss, the paper's
// figure.
std::unique_ptr<Stage> MakeQuantizeStage(const v1::QuantizeOptions& options);

// Temperature scaling of the encoded model (temperature.h).
std::unique_ptr<Stage> MakeTemperatureStage();

// Publishes the dense model trained on the way as "<name>-dense", so that what compression costs
// can be measured against it and other recipes can start from it. From then on the score of its
// file, by the engine that serves it, is what others are compared with.
std::unique_ptr<Stage> MakePublishParentStage();

// Writes the file and reads it back.
std::unique_ptr<Stage> MakePackageStage();
// Scores the file as it will be served, and certifies what compression cost. Its remedies are other
// ranges of the activations.
std::unique_ptr<Stage> MakeEvaluateStage(const v1::QuantizeOptions& options);
std::unique_ptr<Stage> MakePublishStage(const std::string& model_name);

// Adds quantize, temperature (if the options ask for it), package, evaluate and publish: from the
// network to a published model.
void AddServedModel(const std::string& model_name, const v1::QuantizeOptions& options,
                    std::vector<std::unique_ptr<Stage>>& stages);

// One cell of a sweep: quantizes, packages, evaluates and publishes a copy of the network, which it
// leaves as it was. A cell that the collapse guard cannot mend is not published, and the sweep goes
// on; any other error ends it.
std::unique_ptr<Stage> MakeCellStage(const std::string& model_name,
                                     const v1::QuantizeOptions& options);

// Publishes the best try of a goal under the job's model name; FAILED_PRECONDITION, which names the
// try that comes nearest, when none keeps to the goal.
std::unique_ptr<Stage> MakePublishBestStage();

// The tries of a goal, each from the dense parent: what each layer can spare decides what is
// removed from it (sensitivity.h, allocation.h), fine-tuning and a cell follow. Then the
// publication of the best.
void AddGoalStages(const v1::JobSpec& spec, std::vector<std::unique_ptr<Stage>>& stages);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_STAGES_H_
