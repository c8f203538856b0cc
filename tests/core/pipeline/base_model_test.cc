// Jobs that begin with a published model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "core/jobs/job_defaults.h"
#include "core/network/network.h"
#include "core/pipeline/pipeline.h"
#include "core/pipeline/stages.h"
#include "tests/core/compression/test_data.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(PipelineTest, CompressesAPublishedBaseModelWithoutTrainingIt) {
  RecordingObserver first, second;
  ASSERT_TRUE(Run(TinySpec(), first).ok());
  v1::JobSpec spec = TinySpec();
  spec.set_model_name("again");
  spec.set_base_model("tiny-dense");
  spec.clear_network();
  spec.mutable_recipe()->clear_train();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.8);
  spec.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);
  const auto result = Run(spec, second, "job-2");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(second.Stages(), ElementsAre("load", "prune", "fine-tune", "quantize", "package",
                                           "evaluate", "publish"));
  EXPECT_EQ(Line(second, "load").guard(), "");
  EXPECT_EQ(Line(second, "load").disk_bytes(),
            registry_->Get({"tiny-dense", 1})->size().disk_bytes());
  // What is made from it is compared with the file.
  EXPECT_DOUBLE_EQ(Line(second, "load").validation_accuracy(),
                   registry_->Get({"tiny-dense", 1})->evaluations(0).accuracy());
  const v1::Model model = *registry_->Get({"again", 1});
  EXPECT_EQ(model.provenance().parent(), "tiny-dense@1");
  EXPECT_GE(model.size().sparsity(), 0.8 - 1e-6);
  EXPECT_LT(model.size().disk_bytes(), registry_->Get({"tiny", 1})->size().disk_bytes());
}

TEST_F(PipelineTest, ABaseModelOfOtherDataIsRemarkedOn) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_train()->set_epochs(1);
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  RecordingObserver first, second;
  ASSERT_TRUE(Run(spec, first).ok());
  Dataset changed = SpotDataset();
  std::swap(changed.train, changed.test);
  spec.set_model_name("again");
  spec.set_base_model("tiny");
  spec.clear_network();
  *spec.mutable_dataset() = LearningSpec(changed).dataset();
  ASSERT_TRUE(Run(spec, second, "job-2").ok());
  EXPECT_THAT(Line(second, "load").guard(), HasSubstr("other data: tiny@1 was made from spots"));
  EXPECT_EQ(Line(second, "load").verdict(), v1::GUARD_VERDICT_OTHER_DATA);
  EXPECT_EQ(registry_->Get({"again", 1})->ledger(0).guard(), Line(second, "load").guard());
}

TEST_F(PipelineTest, ABaseModelsClassesAreFoundByTheirNames) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  for (const char* name : {"dark", "bright"}) spec.mutable_dataset()->add_class_names(name);
  RecordingObserver first, second, third;
  ASSERT_TRUE(Run(spec, first).ok());
  Dataset turned = SpotDataset();
  for (Split* split : {&turned.train, &turned.val, &turned.test}) {
    for (int& label : split->labels) label = 1 - label;
  }
  *spec.mutable_dataset() = LearningSpec(turned).dataset();
  for (const char* name : {"bright", "dark"}) spec.mutable_dataset()->add_class_names(name);
  spec.set_model_name("again");
  spec.set_base_model("tiny");
  spec.clear_network();
  ASSERT_TRUE(Run(spec, second, "job-2").ok());
  EXPECT_EQ(Line(second, "load").validation_accuracy(),
            registry_->Get({"tiny", 1})->evaluations(0).accuracy());
  EXPECT_THAT(Line(second, "load").guard(), Not(HasSubstr("by their position")));
  EXPECT_THAT(registry_->Get({"again", 1})->class_names(), ElementsAre("dark", "bright"));

  // The base model's own figures of the same data are of labels by other names.
  RecordingObserver renamed;
  v1::JobSpec other_names = spec;
  other_names.set_model_name("renamed");
  other_names.set_base_model("again");
  other_names.mutable_dataset()->set_class_names(0, "dark");
  other_names.mutable_dataset()->set_class_names(1, "bright");
  Run(other_names, renamed, "job-renamed").IgnoreError();
  EXPECT_LT(Line(renamed, "load").validation_accuracy(), 0.5);

  spec.mutable_dataset()->set_class_names(0, "day");
  spec.mutable_dataset()->set_class_names(1, "night");
  spec.set_model_name("other");
  Run(spec, third, "job-3").IgnoreError();  // the guard may refuse what it makes of them
  EXPECT_THAT(Line(third, "load").guard(),
              HasSubstr("classes go by their position: 'day' for 'dark', 'night' for 'bright'"));
  EXPECT_LT(Line(third, "load").validation_accuracy(), 0.5);
}

// What a job's first stage makes of the spots with other names.
struct LoadedClasses {
  absl::Status status;
  std::string remark;
  std::vector<std::string> names;
  std::vector<int> labels;  // of the training split
};

class NamedClassesTest : public PipelineTest {
 protected:
  // Of the names in label order, for a base model whose classes are called otherwise.
  LoadedClasses Load(const std::string& base, const std::vector<std::string>& names) {
    v1::DatasetSource source = LearningSpec().dataset();
    source.mutable_class_names()->Assign(names.begin(), names.end());
    return LoadSource(base, source);
  }

  LoadedClasses LoadSource(const std::string& base, const v1::DatasetSource& source) {
    v1::JobSpec spec = LearningSpec();
    spec.set_base_model(base);
    spec.clear_network();
    spec.mutable_recipe()->clear_train();
    *spec.mutable_dataset() = source;
    spec = WithDefaults(spec);
    RecordingObserver observer;
    PipelineContext context;
    context.registry = registry_.get();
    context.observer = &observer;
    PipelineState state(spec, context, torch::kCPU);
    StageContext stage_context;
    const auto outcome = MakeLoadStage()->Run(state, stage_context);
    LoadedClasses loaded;
    loaded.status = outcome.status();
    if (outcome.ok() && outcome->remark) loaded.remark = outcome->remark->text;
    loaded.names = state.dataset.class_names;
    loaded.labels = state.dataset.train.labels;
    return loaded;
  }

  // The spots in a folder whose class folders are called so, in label order.
  v1::DatasetSource WriteFolder(const std::vector<std::string>& names) const {
    const Dataset spots = SpotDataset();
    v1::DatasetSource source;
    source.set_uri(root_ + "/cells");
    for (size_t s = 0; s < spots.splits().size(); ++s) {
      const Split& split = *spots.splits()[s];
      for (int64_t i = 0; i < split.size(); ++i) {
        const std::string folder =
            absl::StrCat(source.uri(), "/", kSplitNames[s], "/", names[split.labels[i]]);
        std::filesystem::create_directories(folder);
        const auto begin = split.pixels.begin() + i * spots.image_bytes();
        const std::vector<uint8_t> pixels(begin, begin + spots.image_bytes());
        std::ofstream(absl::StrCat(folder, "/", i, ".png"), std::ios::binary)
            << *EncodePng({spots.width, spots.height, spots.channels, pixels});
      }
    }
    return source;
  }

  const std::vector<int> labels_ = SpotDataset().train.labels;
};

TEST_F(NamedClassesTest, AreFoundHoweverTheyAreSpelledAndNeverMixedUp) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_train()->set_epochs(1);
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  for (const char* name : {"dark cell", "bright cell"}) {
    spec.mutable_dataset()->add_class_names(name);
  }
  RecordingObserver observer;
  ASSERT_TRUE(Run(spec, observer).ok());

  const LoadedClasses spelled = Load("tiny", {"Bright_Cell", "dark-cell"});
  EXPECT_EQ(spelled.status, absl::OkStatus());
  EXPECT_EQ(spelled.remark, "");
  EXPECT_THAT(spelled.names, ElementsAre("dark cell", "bright cell"));
  std::vector<int> turned = labels_;
  for (int& label : turned) label = 1 - label;
  EXPECT_EQ(spelled.labels, turned);

  const LoadedClasses placed = Load("tiny", {"Dark_Cell", "day"});
  EXPECT_EQ(placed.status, absl::OkStatus());
  EXPECT_THAT(placed.remark, StartsWith("the data that tiny@1 was made from, by other names; "
                                        "classes go by their position: 'day' for 'bright cell';"));
  EXPECT_EQ(placed.labels, labels_);

  const LoadedClasses mixed = Load("tiny", {"Bright_Cell", "day"});
  EXPECT_EQ(mixed.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(mixed.status.message(),
            "dataset.class_names: 'Bright_Cell' is class 0 of spots and class 1 of tiny@1, so that "
            "classes cannot go by their position; nor can they by their names, as the data have no "
            "'dark cell'; name the data's classes as tiny@1 does, in the order of their labels "
            "(--class-names)");

  Artifact artifact = *ParseArtifact(*registry_->Read({"tiny", 1}));
  artifact.provenance.Clear();
  ASSERT_TRUE(registry_->Publish("elsewhere", *SerializeArtifact(artifact), "").ok());
  const LoadedClasses unknown = Load("elsewhere", {"night", "day"});
  EXPECT_EQ(unknown.status, absl::OkStatus());
  EXPECT_THAT(unknown.remark,
              StartsWith("elsewhere@1 does not say what data it was made from; classes go by their "
                         "position: 'night' for 'dark cell', 'day' for 'bright cell';"));
}

TEST_F(NamedClassesTest, OfAFolderAreThoseThatTheBaseModelsJobWasToldForIt) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_train()->set_epochs(1);
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  for (const char* name : {"dark", "bright"}) spec.mutable_dataset()->add_class_names(name);
  RecordingObserver observer;
  ASSERT_TRUE(Run(spec, observer).ok());

  // From a job that was told names of the folder's classes, in another order than its model has.
  v1::DatasetSource source = WriteFolder({"left", "right"});
  DatasetOptions options;
  options.folder_preprocessing.width = options.folder_preprocessing.height = 16;
  const absl::StatusOr<Dataset> cells = LoadDataset(source.uri(), options);
  ASSERT_TRUE(cells.ok()) << cells.status();
  Artifact artifact = *ParseArtifact(*registry_->Read({"tiny", 1}));
  artifact.provenance.set_dataset_hash(cells->content_hash);
  v1::DatasetSource& told = *artifact.provenance.mutable_spec()->mutable_dataset();
  told = source;
  for (const char* name : {"bright", "dark"}) told.add_class_names(name);
  ASSERT_TRUE(registry_->Publish("turned", *SerializeArtifact(artifact), "").ok());

  const LoadedClasses loaded = LoadSource("turned", source);
  EXPECT_EQ(loaded.status, absl::OkStatus());
  EXPECT_EQ(loaded.remark, "");
  EXPECT_THAT(loaded.names, ElementsAre("dark", "bright"));
  std::vector<int> turned = cells->train.labels;
  for (int& label : turned) label = 1 - label;
  EXPECT_EQ(loaded.labels, turned);

  for (const char* name : {"dark", "bright"}) source.add_class_names(name);
  const LoadedClasses renamed = LoadSource("turned", source);
  EXPECT_EQ(renamed.status, absl::OkStatus());
  EXPECT_EQ(renamed.labels, cells->train.labels) << "it was told names itself";
}

TEST_F(PipelineTest, ClassesWithoutNamesGetTheBaseModels) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  const v1::DatasetSource nameless = spec.dataset();
  for (const char* name : {"dark", "bright"}) spec.mutable_dataset()->add_class_names(name);
  RecordingObserver first, same, other, again, last;
  ASSERT_TRUE(Run(spec, first).ok());
  spec.clear_network();
  spec.mutable_recipe()->clear_train();
  spec.set_base_model("tiny");
  *spec.mutable_dataset() = nameless;
  spec.set_model_name("same");
  ASSERT_TRUE(Run(spec, same, "job-2").ok());
  EXPECT_THAT(registry_->Get({"same", 1})->class_names(), ElementsAre("dark", "bright"));

  // Data that another job was told to call in another order than its base model.
  Dataset turned = SpotDataset();
  for (Split* split : {&turned.train, &turned.val, &turned.test}) {
    for (int& label : split->labels) label = 1 - label;
  }
  *spec.mutable_dataset() = LearningSpec(turned).dataset();
  for (const char* name : {"bright", "dark"}) spec.mutable_dataset()->add_class_names(name);
  spec.set_model_name("turned");
  ASSERT_TRUE(Run(spec, other, "job-3").ok());
  spec.mutable_dataset()->clear_class_names();
  spec.set_base_model("turned");
  spec.set_model_name("again");
  ASSERT_TRUE(Run(spec, again, "job-4").ok());
  EXPECT_EQ(Line(again, "load").validation_accuracy(), Line(other, "load").validation_accuracy());
  EXPECT_THAT(registry_->Get({"again", 1})->class_names(), ElementsAre("dark", "bright"));
  // And so on: the names were not told to job-4 itself.
  spec.set_base_model("again");
  spec.set_model_name("last");
  ASSERT_TRUE(Run(spec, last, "job-5").ok());
  EXPECT_EQ(Line(last, "load").validation_accuracy(),
            registry_->Get({"again", 1})->evaluations(0).accuracy());
  EXPECT_EQ(registry_->Get({"last", 1})->evaluations(0).accuracy(),
            registry_->Get({"again", 1})->evaluations(0).accuracy());
}

TEST_F(PipelineTest, ABaseModelSeesImagesAsItIsUsedTo) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_FP32);
  RecordingObserver first, second;
  ASSERT_TRUE(Run(spec, first).ok());
  // One from elsewhere, where images of a .npz were not normalized as they are here.
  Artifact artifact = *ParseArtifact(*registry_->Read({"tiny", 1}));
  artifact.preprocessing.mean = {0.1f, 0.2f, 0.3f};
  artifact.preprocessing.stddev = {0.9f, 0.8f, 0.7f};
  artifact.evaluations.clear();
  artifact.certificate.reset();
  artifact.provenance.Clear();
  ASSERT_TRUE(registry_->Publish("elsewhere", *SerializeArtifact(artifact), "").ok());
  spec.set_model_name("again");
  spec.set_base_model("elsewhere");
  spec.clear_network();
  spec.mutable_recipe()->clear_train();
  const auto result = Run(spec, second, "job-2");
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::Model again = *registry_->Get({"again", 1});
  EXPECT_THAT(again.preprocessing().mean(), ElementsAre(0.1f, 0.2f, 0.3f));
  EXPECT_THAT(again.preprocessing().stddev(), ElementsAre(0.9f, 0.8f, 0.7f));
  EXPECT_DOUBLE_EQ(again.evaluations(0).accuracy(), Line(second, "load").validation_accuracy());
  // By LibTorch, which normalizes by itself.
  EXPECT_NEAR(again.certificate().weights_only_test().auc(), again.evaluations(1).auc(), 1e-3);
  EXPECT_EQ(Line(second, "load").guard(), "") << "nothing is known of its data";
}

TEST_F(PipelineTest, ABaseModelsWeightsGoOnUnderAnotherStem) {
  RecordingObserver first, second;
  v1::JobSpec spec = TinySpec();
  spec.mutable_network()->set_stem(v1::STEM_STRIDE2);
  ASSERT_TRUE(Run(spec, first).ok());
  spec.set_model_name("finer");
  spec.set_base_model("tiny-dense");
  spec.clear_network();
  spec.mutable_network()->set_stem(v1::STEM_CIFAR);
  spec.mutable_recipe()->clear_train();
  spec.mutable_recipe()->clear_prune();
  const auto result = Run(spec, second, "job-2");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(registry_->Get({"tiny-dense", 1})->network().stem(), v1::STEM_STRIDE2);
  EXPECT_EQ(registry_->Get({"finer", 1})->network().stem(), v1::STEM_CIFAR);
}

TEST_F(PipelineTest, ADenseModelOfAnotherStemIsKnownToTakeAnotherTime) {
  RecordingObserver observer;
  v1::JobSpec spec = TinySpec();
  spec.mutable_network()->set_stem(v1::STEM_CIFAR);
  ASSERT_TRUE(Run(spec, observer).ok());
  spec.set_base_model("tiny-dense");
  spec.clear_network();
  spec.mutable_network()->set_stem(v1::STEM_STRIDE2);
  spec.mutable_recipe()->clear_train();
  spec = WithDefaults(spec);
  PipelineContext context;
  context.registry = registry_.get();
  context.observer = &observer;
  PipelineState state(spec, context, torch::kCPU);
  StageContext stage_context;
  ASSERT_TRUE(MakeLoadStage()->Run(state, stage_context).ok());
  NetworkSpec finer = state.network->network().spec;
  finer.stem = Stem::kCifar;
  EXPECT_DOUBLE_EQ(state.parent.macs_ratio,
                   static_cast<double>(Macs(*BuildNetwork(finer))) /
                       static_cast<double>(Macs(state.network->network())));
  EXPECT_GT(state.parent.macs_ratio, 2);
}

}  // namespace
}  // namespace cytopress
