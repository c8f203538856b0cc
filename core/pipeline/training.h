// One round of training within a job: its teacher, its time and its checkpoints.
#ifndef CYTOPRESS_CORE_PIPELINE_TRAINING_H_
#define CYTOPRESS_CORE_PIPELINE_TRAINING_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/compression/trainer.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// What RunTraining takes, as Stage::Cost has it.
double TrainingCost(const v1::TrainOptions& options, const PipelineState& state);

// Trains the network, with the masks and the seed of the job's state, and where `asked` wants it by
// knowledge distillation, towards the dense parent's soft targets. Epochs that `time_limit` leaves
// no time for, `cost_after` included, are left out (FinetuneOptions in stages.h).
//
// A checkpoint follows an epoch where it is worth its time (checkpoint_pace.h), and the last epoch
// in any case: what comes after the training may be stopped, too, and an attempt that resumes that
// checkpoint trains nothing again. The result is the same as without the stop, bit for bit.
absl::StatusOr<StageOutcome> RunTraining(const v1::TrainOptions& asked, TrainerSetup setup,
                                         PipelineState& state, StageContext& context,
                                         absl::Duration time_limit = absl::InfiniteDuration(),
                                         double cost_after = 0);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_TRAINING_H_
