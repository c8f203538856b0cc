#include "core/compression/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/compression/scoring.h"
#include "core/compression/weight_rounding.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

v1::TrainOptions Options(int epochs) {
  v1::TrainOptions options;
  options.set_epochs(epochs);
  options.set_batch_size(32);
  options.set_learning_rate(0.05);
  options.set_warmup_fraction(0.1);
  options.set_momentum(0.9);
  options.set_weight_decay(5e-4);
  options.set_label_smoothing(0.1);
  options.set_shift_pixels(1);
  options.set_precision("fp32");
  return options;
}

Trainer::Hooks NoHooks() {
  return {[](const StepReport&) { return absl::OkStatus(); }, [] { return absl::OkStatus(); }};
}

TrainerSetup Seeded() {
  TrainerSetup setup;
  setup.seed = 1;
  return setup;
}

TEST(LearningRateTest, WarmsUpThenFallsToZero) {
  EXPECT_NEAR(LearningRateFactor(0, 99, 0.1), 0.1, 1e-9);
  EXPECT_NEAR(LearningRateFactor(9, 99, 0.1), 1.0, 1e-9);
  EXPECT_NEAR(LearningRateFactor(54, 99, 0.1), 0.5, 1e-9);
  EXPECT_NEAR(LearningRateFactor(98, 99, 0.1), 0.0, 1e-3);
  EXPECT_NEAR(LearningRateFactor(98, 99, 0), 0.0, 1e-3);
}

TEST(LearningRateTest, EveryStepTrains) {
  EXPECT_NEAR(LearningRateFactor(0, 1, 0), 0.5, 1e-9);
  EXPECT_GT(LearningRateFactor(0, 1, 0.1), 0.5);
  EXPECT_GT(LearningRateFactor(2, 3, 0.1), 0.1);
}

TEST(LearningRateTest, MayWarmUpToTheEnd) {
  EXPECT_NEAR(LearningRateFactor(49, 99, 1), 0.5, 1e-9);
  EXPECT_NEAR(LearningRateFactor(98, 99, 1), 0.99, 1e-9);
}

TEST(LearningRateTest, IsThatOfTheStepAmongAllStepsOfTheRound) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(3);
  options.set_max_images(64);
  std::vector<double> used;
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport& report) {
    used.push_back(report.learning_rate);
    return absl::OkStatus();
  };
  Trainer trainer(network, dataset, options, Seeded());
  ASSERT_TRUE(trainer.Run(hooks).ok());
  ASSERT_EQ(used.size(), 6u);
  for (int step = 0; step < 6; ++step) {
    EXPECT_DOUBLE_EQ(used[step], options.learning_rate() *
                                     LearningRateFactor(step, 6, options.warmup_fraction()))
        << step;
  }
}

// Of the first step of a network that gives every image the logits `bias`. All are of class 0.
double FirstLoss(const std::vector<float>& bias, const v1::TrainOptions& options,
                 const TrainerSetup& setup) {
  Dataset dataset = SpotDataset();
  std::fill(dataset.train.labels.begin(), dataset.train.labels.end(), 0);
  TorchNetwork network = SmallNetwork("resnet20");
  {
    torch::NoGradGuard no_grad;
    torch::Tensor weight = network.tensors().at("fc.weight");
    torch::Tensor logits = network.tensors().at("fc.bias");
    weight.zero_();
    logits.copy_(torch::tensor(bias));
  }
  double loss = 0;
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport& report) {
    loss = report.loss;
    return absl::CancelledError("stopped");
  };
  Trainer trainer(network, dataset, options, setup);
  EXPECT_TRUE(absl::IsCancelled(trainer.Run(hooks)));
  return loss;
}

// Probabilities of 3/4 and 1/4; the smoothed label has 9/10 and 1/10.
TEST(TrainerLossTest, SmoothsTheLabels) {
  v1::TrainOptions options = Options(1);
  options.set_label_smoothing(0.2);
  const double expected = -0.9 * std::log(0.75) - 0.1 * std::log(0.25);
  EXPECT_NEAR(FirstLoss({std::log(3.0f), 0}, options, Seeded()), expected, 1e-5);
}

// Probabilities of 9/10 and 1/10, which are 3/4 and 1/4 at the temperature; the teacher's there are
// 1/4 and 3/4.
TEST(TrainerLossTest, IsThatOfTheLabelsAndThatOfTheSoftTargetsByTheirShares) {
  v1::TrainOptions options = Options(1);
  options.set_label_smoothing(0);
  options.set_distillation(0.25);
  options.set_distillation_temperature(2);
  TrainerSetup setup = Seeded();
  setup.teacher_logits = torch::tensor({0.0f, 2 * std::log(3.0f)}).repeat({256, 1});
  const double labels = -std::log(0.9);
  const double soft = -0.25 * std::log(0.75) - 0.75 * std::log(0.25);
  EXPECT_NEAR(FirstLoss({std::log(9.0f), 0}, options, setup), 0.75 * labels + 0.25 * 4 * soft,
              1e-5);
}

TEST(TrainerTest, LearnsWhatCanBeLearned) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  const v1::TrainOptions options = Options(4);
  Trainer trainer(network, dataset, options, Seeded());
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, 0.95);
  EXPECT_GT(trainer.images_per_second(), 0);
}

TEST(TrainerTest, EndsWithTheBestNetworkAndNotWithTheLast) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  const torch::Tensor classifier = network.tensors().at("fc.weight");
  const v1::TrainOptions options = Options(6);
  Trainer trainer(network, dataset, options, Seeded());
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport& report) {
    if (report.epoch == report.epochs && report.step == report.steps) {
      torch::NoGradGuard no_grad;
      torch::Tensor forgotten = classifier;
      forgotten.zero_();
    }
    return absl::OkStatus();
  };
  ASSERT_TRUE(trainer.Run(hooks).ok());
  EXPECT_GT(trainer.best().accuracy, 0.9);
  EXPECT_GT(classifier.abs().max().item<float>(), 0);
  const auto evaluation = EvaluateNetwork(network, dataset, dataset.val, /*bfloat16=*/false);
  EXPECT_EQ(evaluation->accuracy, trainer.best().accuracy);
  EXPECT_EQ(evaluation->auc, trainer.best().auc);
}

// In every epoch all images get class 0. What the scores of class 1 say of the images differs:
// nothing, something, its opposite and nothing.
TEST(TrainerTest, OfEpochsThatAreEquallyOftenRightThatOfTheLargestAucIsKept) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(4);
  options.set_max_images(32);
  options.set_learning_rate(0);  // of one epoch and the next, only what the test changes differs
  options.set_freeze_batch_norm(true);
  Trainer trainer(network, dataset, options, Seeded());
  Trainer::Hooks hooks = NoHooks();
  const std::vector<double> weights = {0, 1e-3, -1e-3, 0};
  hooks.on_step = [&](const StepReport& report) {
    torch::NoGradGuard no_grad;
    torch::Tensor classifier = network.tensors().at("fc.weight");
    torch::Tensor bias = network.tensors().at("fc.bias");
    classifier.zero_();
    classifier[1].fill_(weights[report.epoch - 1]);
    bias.zero_();
    bias[0].fill_(5);
    return absl::OkStatus();
  };
  ASSERT_TRUE(trainer.Run(hooks).ok());
  const std::vector<int>& labels = dataset.val.labels;
  const auto first_class = static_cast<double>(std::count(labels.begin(), labels.end(), 0));
  EXPECT_EQ(trainer.best().accuracy, first_class / static_cast<double>(labels.size()));
  EXPECT_GT(trainer.best().auc, 0.5) << "that of scores which say nothing";
  EXPECT_EQ(EvaluateNetwork(network, dataset, dataset.val, /*bfloat16=*/false)->auc,
            trainer.best().auc);
}

TEST(TrainerTest, LearnsFromMixedImages) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20"), plain = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(4);
  Trainer plain_trainer(plain, dataset, options, Seeded());
  ASSERT_TRUE(plain_trainer.Run(NoHooks()).ok());
  options.set_mixup_alpha(0.2);
  Trainer trainer(network, dataset, options, Seeded());
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, 0.9);
  EXPECT_FALSE(network.tensors().at("fc.weight").equal(plain.tensors().at("fc.weight")));
}

TEST(TrainerTest, MasksHoldThroughTraining) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  Masks masks = MagnitudeMasks(network, {}, 0.8);
  ApplyMasks(masks, network);
  const v1::TrainOptions options = Options(1);
  TrainerSetup setup = Seeded();
  setup.masks = &masks;
  Trainer trainer(network, dataset, options, setup);
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport&) { return CheckMasks(masks, network); };
  ASSERT_TRUE(trainer.Run(hooks).ok());
  EXPECT_GE(Sparsity(network), 0.8 - 1e-6);
}

TEST(TrainerTest, RefusesStepsWithoutStatistics) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork();  // its last maps have one position
  v1::TrainOptions options = Options(1);
  options.set_max_images(1);
  EXPECT_THAT(Trainer(network, dataset, options, Seeded()).Run(NoHooks()).message(),
              testing::HasSubstr("max_images: a training step has one image"));
  options.set_max_images(2);
  EXPECT_TRUE(Trainer(network, dataset, options, Seeded()).Run(NoHooks()).ok());
  options.set_batch_size(1);
  const absl::Status status = Trainer(network, dataset, options, Seeded()).Run(NoHooks());
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(status.message(), testing::HasSubstr("batch_size: a training step has one image"));
  options.set_freeze_batch_norm(true);
  EXPECT_TRUE(Trainer(network, dataset, options, Seeded()).Run(NoHooks()).ok());
}

TEST(TrainerTest, DivergenceIsAnErrorThatSaysWhatToDo) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(3);
  options.set_learning_rate(1e30);
  Trainer trainer(network, dataset, options, Seeded());
  const absl::Status status = trainer.Run(NoHooks());
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), testing::HasSubstr("lower the learning rate"));
}

TEST(TrainerTest, DivergenceInTheLastStepIsTheSameError) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(1);
  options.set_max_images(options.batch_size());
  options.set_learning_rate(1e30);
  options.set_warmup_fraction(1);  // or the only step would have the end's rate, which is 0
  Trainer trainer(network, dataset, options, Seeded());
  const absl::Status status = trainer.Run(NoHooks());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), testing::HasSubstr("training diverged"));
  EXPECT_THAT(status.message(), testing::HasSubstr("epoch 1; lower the learning rate"));
}

TrainerSetup Gradual(double sparsity, double fraction, Masks* masks) {
  TrainerSetup setup = Seeded();
  setup.masks = masks;
  setup.gradual.emplace();
  setup.gradual->set_sparsity(sparsity);
  setup.gradual->set_gradual_fraction(fraction);
  return setup;
}

struct WayOfTraining {
  const char* name;
  double ema_decay;
  double mixup_alpha;
  double gradual_fraction;  // of two epochs; 0 = nothing is pruned
  v1::PruneMethod method = v1::PRUNE_METHOD_GLOBAL_MAGNITUDE;
};

class ResumedTrainingTest : public testing::TestWithParam<WayOfTraining> {
 protected:
  ResumedTrainingTest() {
    at::set_num_threads(1);
    options_.set_batch_size(16);
    options_.set_max_images(48);
    options_.set_ema_decay(GetParam().ema_decay);
    options_.set_mixup_alpha(GetParam().mixup_alpha);
  }

  static TrainerSetup SetupWith(Masks* masks) {
    const double fraction = GetParam().gradual_fraction;
    if (fraction == 0) return Seeded();
    TrainerSetup setup = Gradual(0.8, fraction, masks);
    setup.gradual->set_method(GetParam().method);
    return setup;
  }

  const Dataset dataset_ = SpotDataset();
  v1::TrainOptions options_ = Options(2);
};

// Stopped after the first epoch and resumed by another trainer, training ends with the same
// network.
TEST_P(ResumedTrainingTest, EndsAsIfItHadNeverStopped) {
  Masks whole_masks, masks;
  TorchNetwork whole = SmallNetwork("resnet20");
  Trainer whole_trainer(whole, dataset_, options_, SetupWith(&whole_masks));
  ASSERT_TRUE(whole_trainer.Run(NoHooks()).ok());

  TensorTable saved;
  TorchNetwork first = SmallNetwork("resnet20");
  Trainer first_trainer(first, dataset_, options_, SetupWith(&masks));
  Trainer::Hooks stop = NoHooks();
  stop.on_epoch = [&] {
    TensorTable table;
    first_trainer.Save(table);
    for (auto& [name, tensor] : table) saved[name] = tensor.detach().clone();
    return absl::CancelledError("stopped");
  };
  EXPECT_TRUE(absl::IsCancelled(first_trainer.Run(stop)));

  TorchNetwork second = SmallNetwork("resnet20", 1234);
  Trainer second_trainer(second, dataset_, options_, SetupWith(&masks));
  ASSERT_TRUE(second_trainer.Load(saved).ok());
  EXPECT_EQ(second_trainer.best().confusion, first_trainer.best().confusion);
  ASSERT_TRUE(second_trainer.Run(NoHooks()).ok());
  EXPECT_FALSE(second_trainer.best().confusion.empty());
  for (const auto& [name, tensor] : whole.tensors()) {
    EXPECT_TRUE(tensor.equal(second.tensors().at(name))) << name;
  }
}

// Pruning ends in the second epoch, or before it begins.
INSTANTIATE_TEST_SUITE_P(Ways, ResumedTrainingTest,
                         testing::Values(WayOfTraining{"Plain", 0, 0, 0},
                                         WayOfTraining{"Averaged", 0.9, 0, 0},
                                         WayOfTraining{"Mixed", 0, 0.2, 0},
                                         WayOfTraining{"HalfPruned", 0, 0, 0.8},
                                         WayOfTraining{"Pruned", 0, 0, 0.4},
                                         WayOfTraining{"AveragedAndPruned", 0.9, 0, 0.4},
                                         WayOfTraining{"HalfPrunedByFisher", 0, 0, 0.8,
                                                       v1::PRUNE_METHOD_COST_AWARE_FISHER}),
                         [](const auto& info) { return info.param.name; });

TEST(TrainerTest, FollowsTheFisherInformationWhileItPrunes) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(2);
  options.set_max_images(options.batch_size());  // one step an epoch
  options.set_momentum(0);                       // leaves gradients as they are
  options.set_weight_decay(0);
  Masks masks;
  TrainerSetup setup = Gradual(0.8, 1, &masks);
  setup.gradual->set_method(v1::PRUNE_METHOD_FISHER);
  const auto start = MeasureFisher(network, dataset, kFisherImages, setup.seed,
                                   [](double) { return absl::OkStatus(); });
  ASSERT_TRUE(start.ok()) << start.status();
  Trainer trainer(network, dataset, options, setup);
  torch::Tensor gradient, followed;
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport&) {
    gradient = network.tensors().at("conv1.weight").grad().clone();
    return absl::OkStatus();
  };
  hooks.on_epoch = [&] {
    TensorTable table;
    trainer.Save(table);
    followed = table.at("fisher/conv1.weight").clone();
    return absl::CancelledError("stopped");
  };
  EXPECT_TRUE(absl::IsCancelled(trainer.Run(hooks)));
  const torch::Tensor expected =
      0.98 * start->at("conv1.weight") + 0.02 * options.batch_size() * gradient.square();
  EXPECT_TRUE(at::allclose(followed, expected, 1e-4, 1e-12));
}

TEST(TrainerTest, DivergenceWhilePruningIsTheSameError) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(3);
  options.set_learning_rate(1e30);
  Masks masks;
  Trainer trainer(network, dataset, options, Gradual(0.8, 0.9, &masks));
  EXPECT_THAT(trainer.Run(NoHooks()).message(), testing::HasSubstr("lower the learning rate"));
}

TEST(TrainerTest, GradualPruningReachesItsTargetInTimeAndCountsOnlyWhatIsPruned) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  const v1::TrainOptions options = Options(4);
  Masks masks;
  Trainer trainer(network, dataset, options, Gradual(0.9, 0.5, &masks));
  std::vector<double> sparsities;
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport&) {
    sparsities.push_back(Sparsity(network));
    return CheckMasks(masks, network);
  };
  ASSERT_TRUE(trainer.Run(hooks).ok());
  for (size_t i = 1; i < sparsities.size(); ++i) EXPECT_GE(sparsities[i], sparsities[i - 1]);
  EXPECT_LT(sparsities.front(), 0.3);
  EXPECT_NEAR(sparsities[sparsities.size() / 2 + 1], 0.9, 1e-5);
  EXPECT_NEAR(Sparsity(network), 0.9, 1e-5);
  EXPECT_GT(trainer.best().accuracy, 0.9);
}

TEST(TrainerTest, AScheduleOverAllStepsIsDoneBeforeTheLast) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  const v1::TrainOptions options = Options(2);
  Masks masks;
  Trainer trainer(network, dataset, options, Gradual(0.5, 1, &masks));
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_NEAR(Sparsity(network), 0.5, 1e-5);
}

TEST(TrainerTest, DistillationTeachesWithoutLabels) {
  Dataset dataset = SpotDataset();
  // The teacher knows; the labels say nothing.
  torch::Tensor teacher = torch::zeros({dataset.train.size(), 2});
  for (int64_t i = 0; i < dataset.train.size(); ++i) teacher[i][dataset.train.labels[i]] = 6;
  for (size_t i = 0; i < dataset.train.labels.size(); ++i) dataset.train.labels[i] = i % 2;
  TorchNetwork network = SmallNetwork("resnet20");
  v1::TrainOptions options = Options(4);
  options.set_distillation(1);
  options.set_distillation_temperature(2);
  TrainerSetup setup = Seeded();
  setup.teacher_logits = teacher;
  Trainer trainer(network, dataset, options, setup);
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, 0.95);
}

TEST(TrainerTest, TheAverageIsWhatIsValidatedAndKept) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20"), plain = SmallNetwork("resnet20");
  const torch::Tensor start = network.tensors().at("fc.weight").detach().clone();
  v1::TrainOptions options = Options(4);
  Trainer plain_trainer(plain, dataset, options, Seeded());
  ASSERT_TRUE(plain_trainer.Run(NoHooks()).ok());
  options.set_ema_decay(0.9);
  Trainer trainer(network, dataset, options, Seeded());
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, 0.9);
  EXPECT_EQ(EvaluateNetwork(network, dataset, dataset.val, false)->accuracy,
            trainer.best().accuracy);
  const auto way = [&start](TorchNetwork& trained) {
    return (trained.tensors().at("fc.weight") - start).norm().item<double>();
  };
  EXPECT_GT(way(network), 0);
  EXPECT_LT(way(network), way(plain)) << "an average stays behind what it is of";
}

TEST(TrainerTest, FrozenBatchNormsStayAsTheyAreWhileWeightsLearn) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  const v1::TrainOptions usual = Options(4);
  Trainer first(network, dataset, usual, Seeded());
  ASSERT_TRUE(first.Run(NoHooks()).ok());
  const Masks masks = MagnitudeMasks(network, {}, 0.95);
  ApplyMasks(masks, network);
  const double pruned = EvaluateNetwork(network, dataset, dataset.val, false)->accuracy;
  EXPECT_LT(pruned, 0.9);
  TensorTable before;
  for (const auto& [name, tensor] : network.tensors()) before[name] = tensor.detach().clone();

  v1::TrainOptions options = Options(2);
  options.set_freeze_batch_norm(true);
  options.set_learning_rate(0.01);
  Trainer trainer(network, dataset, options, Seeded());
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, pruned);
  for (const Layer& layer : network.network().layers) {
    if (layer.weight_count() > 0) {
      const std::string name = layer.name + ".weight";
      EXPECT_FALSE(network.tensors().at(name).equal(before.at(name))) << name;
    }
    if (layer.batch_norm.empty()) continue;
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
      const std::string name = layer.batch_norm + part;
      EXPECT_TRUE(network.tensors().at(name).equal(before.at(name))) << name;
    }
  }
}

// Four bits from the start of training: the network learns to live with them.
TEST(TrainerTest, QuantizationAwareTrainingEndsOnTheGrid) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork("resnet20");
  v1::QuantizeOptions quantize;
  quantize.set_weights(v1::WEIGHT_TYPE_INT4);
  const WeightGrids grids = FindWeightGrids(network, quantize);
  const v1::TrainOptions options = Options(6);
  TrainerSetup setup = Seeded();
  setup.hooks = FakeQuantizationHooks(network, quantize, grids);
  Trainer trainer(network, dataset, options, setup);
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, 0.9);
  AssignIntegers(RoundToNearest(network, quantize, grids), network);
  const auto rounded = EvaluateNetwork(network, dataset, dataset.val, /*bfloat16=*/false);
  EXPECT_NEAR(rounded->accuracy, trainer.best().accuracy, 0.02);
}

}  // namespace
}  // namespace cytopress
