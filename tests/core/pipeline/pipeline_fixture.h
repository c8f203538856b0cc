// Small jobs for the whole pipeline, and what was heard of them.
#ifndef CYTOPRESS_TESTS_CORE_PIPELINE_PIPELINE_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_PIPELINE_PIPELINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/pipeline/pipeline.h"
#include "tests/core/compression/test_data.h"
#include "tests/core/dataset/npz_builder.h"
#include "tests/temporary_folder.h"

namespace cytopress {

// Remembers everything; asks to stop when told.
class RecordingObserver : public JobObserver {
 public:
  absl::Status OnProgress(const v1::Progress& progress) override {
    progresses.push_back(progress);
    began.emplace(progress.stage(), RealClock()->Steady());
    return absl::OkStatus();
  }
  absl::Status OnLedger(const v1::LedgerEntry& entry) override {
    ledger.push_back(entry);
    return absl::OkStatus();
  }
  bool ShouldStop() override {
    return !progresses.empty() && progresses.back().stage() == stop_in_stage &&
           progresses.back().epoch() >= stop_in_epoch;
  }
  std::vector<std::string> Stages() const {
    std::vector<std::string> stages;
    for (const auto& entry : ledger) stages.push_back(entry.stage());
    return stages;
  }

  // The first that a stage trained; 0 when it trained none.
  int FirstEpoch(const std::string& stage) const {
    for (const v1::Progress& progress : progresses) {
      if (progress.stage() == stage && progress.epoch() > 0) return progress.epoch();
    }
    return 0;
  }

  std::vector<v1::Progress> progresses;
  std::map<std::string, absl::Duration> began;  // stages
  std::vector<v1::LedgerEntry> ledger;
  std::string stop_in_stage = "never";
  int stop_in_epoch = 0;
};

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() {
    registry_ = std::make_unique<ModelRegistry>(*ModelRegistry::Open(root_ + "/models"));
  }

  static v1::JobSpec TinySpec() {
    v1::JobSpec spec;
    spec.set_model_name("tiny");
    spec.mutable_dataset()->set_uri("synthetic:400");
    spec.mutable_network()->set_architecture("resnet20");
    v1::Recipe& recipe = *spec.mutable_recipe();
    recipe.set_seed(5);
    recipe.mutable_train()->set_epochs(2);
    recipe.mutable_train()->set_max_images(128);
    recipe.mutable_train()->set_batch_size(32);
    recipe.mutable_prune()->set_sparsity(0.5);
    recipe.mutable_finetune()->set_epochs(1);
    recipe.mutable_finetune()->set_max_images(128);
    recipe.mutable_finetune()->set_batch_size(32);
    recipe.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT8);
    recipe.mutable_quantize()->set_calibration_images(64);
    return spec;
  }

  // What is learned in seconds well enough to be a measure for the collapse guard.
  v1::JobSpec LearningSpec(const Dataset& spots = SpotDataset()) const {
    const std::string path = root_ + "/spots.npz";
    std::filesystem::create_directories(root_);
    std::vector<ZipEntry> members;
    for (const auto& [name, split] :
         {std::pair{"train", &spots.train}, {"val", &spots.val}, {"test", &spots.test}}) {
      const std::string pixels(split->pixels.begin(), split->pixels.end());
      const std::string labels(split->labels.begin(), split->labels.end());
      ZipEntry images, answers;
      images.name = absl::StrCat(name, "_images.npy");
      images.content = BuildNpy("|u1", absl::StrCat("(", split->size(), ", 16, 16, 3)"), pixels);
      answers.name = absl::StrCat(name, "_labels.npy");
      answers.content = BuildNpy("|u1", absl::StrCat("(", split->size(), ", 1)"), labels);
      members.push_back(images);
      members.push_back(answers);
    }
    EXPECT_TRUE(WriteFileAtomically(path, BuildZip(members)).ok());
    v1::JobSpec spec = TinySpec();
    spec.mutable_dataset()->set_uri(path);
    spec.mutable_network()->set_stem(v1::STEM_STRIDE2);
    spec.mutable_recipe()->mutable_train()->set_epochs(4);
    spec.mutable_recipe()->mutable_train()->clear_max_images();
    return spec;
  }

  static v1::LedgerEntry Line(const RecordingObserver& observer, const std::string& stage) {
    for (const v1::LedgerEntry& entry : observer.ledger) {
      if (entry.stage() == stage) return entry;
    }
    ADD_FAILURE() << "no line of " << stage;
    return {};
  }

  std::string WorkFolder(const std::string& job_id) const {
    return (std::filesystem::path(root_) / "work" / job_id).string();
  }

  absl::StatusOr<PipelineResult> Run(const v1::JobSpec& spec, RecordingObserver& observer,
                                     const std::string& job_id = "job-1", int attempt = 1) {
    PipelineContext context;
    context.registry = registry_.get();
    context.observer = &observer;
    context.job_id = job_id;
    context.work_folder = WorkFolder(job_id);
    context.threads = 1;
    context.attempt = attempt;
    return RunPipeline(spec, context);
  }

  // Bit for bit.
  void ExpectSameWeights(const std::string& name, const std::string& other) const {
    const Artifact a = *ParseArtifact(*registry_->Read({name, 1}));
    const Artifact b = *ParseArtifact(*registry_->Read({other, 1}));
    ASSERT_EQ(a.tensors.size(), b.tensors.size());
    for (const auto& [tensor_name, tensor] : a.tensors) {
      EXPECT_EQ(tensor.integers, b.tensors.at(tensor_name).integers) << other << ' ' << tensor_name;
      EXPECT_EQ(tensor.scales, b.tensors.at(tensor_name).scales) << other << ' ' << tensor_name;
      EXPECT_EQ(tensor.floats, b.tensors.at(tensor_name).floats) << other << ' ' << tensor_name;
    }
  }

  const TemporaryFolder temporary_;
  const std::string root_ = temporary_.path();
  std::unique_ptr<ModelRegistry> registry_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_PIPELINE_PIPELINE_FIXTURE_H_
