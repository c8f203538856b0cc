// What the pipeline does on a GPU, against what it does on the CPU. Skipped where there is none.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "core/artifact/artifact.h"
#include "core/compression/augmentation.h"
#include "core/compression/batch_loader.h"
#include "core/compression/gptq.h"
#include "core/compression/pruning.h"
#include "core/compression/trainer.h"
#include "core/pipeline/pipeline.h"
#include "tests/core/compression/test_data.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "this machine has no GPU";
  }

  static TorchNetwork OnGpu(const TorchNetwork& network) {
    TorchNetwork copy(network.network(), torch::Device(torch::kCUDA, 0), /*seed=*/1);
    EXPECT_TRUE(copy.Import(network.Export()).ok());
    return copy;
  }
};

TEST_F(GpuTest, MasksAreThoseOfTheCpu) {
  const TorchNetwork network = SmallNetwork("resnet50");
  const TorchNetwork copy = OnGpu(network);
  at::manual_seed(5);
  FisherDiagonal fisher, copy_of_fisher;
  for (const auto& [name, tensor] : network.tensors()) {
    if (tensor.dim() != 4) continue;
    fisher[name] = at::rand(tensor.sizes()).contiguous(at::MemoryFormat::ChannelsLast);
    copy_of_fisher[name] = fisher[name].to(copy.device());
  }
  std::vector<v1::PruneOptions> all(6);
  all[1].set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  all[2].set_method(v1::PRUNE_METHOD_LAYER_MAGNITUDE);
  all[3].set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
  all[4].set_method(v1::PRUNE_METHOD_FISHER);
  all[5].set_method(v1::PRUNE_METHOD_COST_AWARE_FISHER);
  for (const v1::PruneOptions& options : all) {
    const bool by_fisher = UsesFisher(options);
    const Masks expected = by_fisher ? FisherMasks(network, options, 0.9, fisher)
                                     : MagnitudeMasks(network, options, 0.9);
    const Masks masks = by_fisher ? FisherMasks(copy, options, 0.9, copy_of_fisher)
                                  : MagnitudeMasks(copy, options, 0.9);
    ASSERT_EQ(masks.size(), expected.size());
    int64_t different = 0;
    for (const auto& [name, mask] : masks) {
      EXPECT_TRUE(mask.is_cuda());
      different += (mask.to(torch::kCPU) != expected.at(name)).sum().item<int64_t>();
    }
    // Sums of four magnitudes, means and quotients may be rounded otherwise.
    const bool is_exact = options.pattern() != v1::PRUNE_PATTERN_BLOCK4 && !by_fisher;
    EXPECT_LE(different, is_exact ? 0 : 80) << options.ShortDebugString();
  }
}

TEST_F(GpuTest, BatchesAreThoseOfTheCpu) {
  const Dataset dataset = SpotDataset();
  Augmentation augmentation;
  augmentation.rotate_degrees = 45;
  augmentation.color_jitter = 0.1;
  BatchLoader expected(dataset, dataset.train, 12, 3);
  BatchLoader loader(dataset, dataset.train, 12, 3, 0, torch::Device(torch::kCUDA, 0),
                     /*ahead=*/8);
  for (int epoch = 0; epoch < 2; ++epoch) {
    expected.StartEpoch(epoch);
    loader.StartEpoch(epoch);
    // The second epoch starts while batches of the first are under way.
    for (int64_t step = 0; step < expected.steps() - 5; ++step) {
      const Batch a = expected.TrainBatch(step, augmentation);
      const Batch b = loader.TrainBatch(step, augmentation);
      EXPECT_TRUE(b.images.is_cuda());
      EXPECT_TRUE(b.images.is_contiguous(at::MemoryFormat::ChannelsLast));
      EXPECT_TRUE(at::allclose(b.images.to(torch::kCPU), a.images));
      EXPECT_TRUE(b.labels.to(torch::kCPU).equal(a.labels));
      EXPECT_TRUE(b.images_of_split.equal(a.images_of_split));
    }
  }
}

TEST_F(GpuTest, LearnsWhatCanBeLearnedWhilePruning) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = OnGpu(SmallNetwork());
  v1::TrainOptions options;
  options.set_epochs(6);
  options.set_batch_size(32);
  options.set_learning_rate(0.05);
  options.set_momentum(0.9);
  options.set_weight_decay(5e-4);
  options.set_ema_decay(0.9);
  Masks masks;
  TrainerSetup setup;
  setup.masks = &masks;
  setup.gradual.emplace();
  setup.gradual->set_sparsity(0.8);
  setup.gradual->set_gradual_fraction(0.3);
  Trainer trainer(network, dataset, options, setup);
  const absl::Status status = trainer.Run(
      {[](const StepReport&) { return absl::OkStatus(); }, [] { return absl::OkStatus(); }});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_GT(trainer.best().accuracy, 0.95);
  EXPECT_GE(Sparsity(network), 0.8 - 1e-6);
}

TEST_F(GpuTest, RoundsAsTheCpuDoes) {
  torch::manual_seed(1);
  const torch::Tensor inputs =
      at::mm(torch::randn({200, 4}), torch::randn({4, 1000})) + 0.3 * torch::randn({200, 1000});
  const torch::Tensor gram = at::mm(inputs, inputs.t()).to(torch::kFloat64);
  const torch::Tensor weight = torch::randn({16, 200});
  const torch::Tensor steps = (weight.abs().amax(1) / 7).unsqueeze(1);
  const torch::Tensor expected = GptqRound(weight, gram, steps, 7);
  const torch::Tensor rounded = GptqRound(weight.cuda(), gram.cuda(), steps.cuda(), 7).cpu();
  EXPECT_LE(((rounded - expected).abs() > 1e-6).sum().item<int64_t>(), 32);  // of 3,200: ties
}

class QuietObserver : public JobObserver {
 public:
  absl::Status OnProgress(const v1::Progress&) override { return absl::OkStatus(); }
  absl::Status OnLedger(const v1::LedgerEntry& entry) override {
    stages.push_back(entry.stage());
    return absl::OkStatus();
  }
  bool ShouldStop() override { return false; }

  std::vector<std::string> stages;
};

TEST_F(GpuTest, AJobTrainsCompressesAndPublishes) {
  const TemporaryFolder folder;
  const auto registry =
      std::make_unique<ModelRegistry>(*ModelRegistry::Open(folder.PathOf("models")));
  v1::JobSpec spec;
  spec.set_model_name("tiny");
  spec.mutable_dataset()->set_uri("synthetic:400");
  spec.mutable_network()->set_architecture("resnet18");
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.mutable_train()->set_epochs(3);
  recipe.mutable_train()->set_batch_size(32);
  recipe.mutable_prune()->set_sparsity(0.5);
  recipe.mutable_prune()->set_gradual_fraction(0.5);
  recipe.mutable_finetune()->set_epochs(2);
  recipe.mutable_finetune()->set_batch_size(32);
  recipe.mutable_finetune()->set_distillation(0.5);
  recipe.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);
  recipe.mutable_quantize()->set_rounding(v1::ROUNDING_GPTQ);
  recipe.mutable_quantize()->set_calibration_images(64);
  recipe.set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  QuietObserver observer;
  PipelineContext context;
  context.registry = registry.get();
  context.observer = &observer;
  context.job_id = "gpu";
  context.work_folder = folder.PathOf("work");
  context.device = "cuda:0";
  const auto result = RunPipeline(spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::Model model = *registry->Get({"tiny", 1});
  EXPECT_EQ(model.provenance().device(), "cuda:0");
  EXPECT_NEAR(model.size().sparsity(), 0.5, 0.01);
  EXPECT_EQ(model.evaluations_size(), 2);
}

}  // namespace
}  // namespace cytopress
