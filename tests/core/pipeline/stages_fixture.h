// A small network that no stage has seen yet, for stages by themselves.
#ifndef CYTOPRESS_TESTS_CORE_PIPELINE_STAGES_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_PIPELINE_STAGES_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>

#include "core/compression/scoring.h"
#include "core/jobs/job_defaults.h"
#include "core/pipeline/stages.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {

class StagesTest : public PipelineTest {
 protected:
  StagesTest() : state_(spec_, context_, torch::kCPU) {
    context_.registry = registry_.get();
    context_.observer = &observer_;
    context_.job_id = "job-1";
    context_.work_folder = WorkFolder("job-1");
    EXPECT_TRUE(MakeDirectories(context_.work_folder).ok());
    spec_.set_model_name("tiny");
    state_.dataset = SpotDataset();
    state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20"));
    stage_context_.progress = [](double, const v1::Progress&) { return absl::OkStatus(); };
    stage_context_.checkpoint = [](const TensorTable&) { return absl::OkStatus(); };
  }

  // Asks for such weights and few calibration images, with defaults for the rest.
  void QuantizeTo(v1::WeightType weights) {
    spec_.mutable_recipe()->mutable_quantize()->set_weights(weights);
    spec_.mutable_recipe()->mutable_quantize()->set_calibration_images(16);
    spec_ = WithDefaults(spec_);
  }

  torch::Tensor ValidationLogits(const TorchNetwork& network) const {
    return LogitsOf(network, state_.dataset, state_.dataset.val, /*bfloat16=*/false);
  }

  v1::JobSpec spec_;
  RecordingObserver observer_;
  PipelineContext context_;
  PipelineState state_;
  StageContext stage_context_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_PIPELINE_STAGES_FIXTURE_H_
