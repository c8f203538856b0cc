// The stages that make a network the weights of a file: quantization and temperature.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/compression/encoding.h"
#include "core/compression/scoring.h"
#include "core/compression/temperature.h"
#include "core/compression/weight_rounding.h"
#include "core/jobs/job_defaults.h"
#include "core/pipeline/stages.h"
#include "tests/core/pipeline/stages_fixture.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(StagesTest, AnFp16ModelIsScoredWithTheWeightsOfItsFile) {
  spec_.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_FP16);
  spec_ = WithDefaults(spec_);
  ASSERT_TRUE(MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_).ok());
  const auto bytes = SerializeArtifact(state_.artifact);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const TensorMap scored = state_.network->Export();
  const Artifact read = *ParseArtifact(*bytes);
  for (const auto& [name, tensor] : read.tensors) {
    EXPECT_EQ(scored.at(name).values, tensor.floats) << name;
  }
}

std::vector<int> AnswersOf(const torch::Tensor& logits) {
  const torch::Tensor answers = logits.argmax(1).to(torch::kInt32);
  return std::vector<int>(answers.data_ptr<int>(), answers.data_ptr<int>() + answers.numel());
}

TEST_F(StagesTest, AFilesLogitsAreThoseBeforeItsTemperatureDividedByIt) {
  for (const v1::WeightType weights : {v1::WEIGHT_TYPE_FP16, v1::WEIGHT_TYPE_INT8}) {
    state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20"));
    QuantizeTo(weights);
    ASSERT_TRUE(MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_).ok());
    const torch::Tensor before = ValidationLogits(*state_.network);
    // Wrong everywhere: the less sure, the better.
    state_.dataset.val.labels = AnswersOf(-before);
    const double temperature = *FitTemperature(before, state_.dataset.val.labels);
    EXPECT_NEAR(temperature, 20, 1e-6);
    const auto outcome = MakeTemperatureStage()->Run(state_, stage_context_);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_THAT(outcome->note, StartsWith("confidences at temperature 20.000, "));
    TorchNetwork stored = SmallNetwork("resnet20", /*seed=*/8);
    ASSERT_TRUE(stored.Import(DecodeTensors(state_.artifact.tensors)).ok());
    EXPECT_TRUE(torch::allclose(ValidationLogits(stored) * temperature, before, 2e-2, 1e-3))
        << weights;
    EXPECT_EQ(state_.network->Export().at("fc.weight").values,
              stored.Export().at("fc.weight").values)
        << "what follows measures the file's weights";
  }
}

TEST_F(StagesTest, ConfidencesStayWhereValidationHasNoWrongAnswer) {
  QuantizeTo(v1::WEIGHT_TYPE_FP16);
  ASSERT_TRUE(MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_).ok());
  state_.dataset.val.labels = AnswersOf(ValidationLogits(*state_.network));
  const std::vector<float> before = state_.artifact.tensors.at("fc.weight").floats;
  const auto outcome = MakeTemperatureStage()->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(outcome->note, HasSubstr("confidences stay as they are"));
  ASSERT_TRUE(outcome->score);
  EXPECT_EQ(outcome->score->accuracy, 1);
  EXPECT_EQ(state_.artifact.tensors.at("fc.weight").floats, before);
}

TEST_F(StagesTest, OnTheScalesOfATrainingWeightsAreRoundedAndNotMended) {
  QuantizeTo(v1::WEIGHT_TYPE_INT8);
  state_.frozen_grids = FindWeightGrids(*state_.network, spec_.recipe().quantize());
  for (float& scale : state_.frozen_grids.at("layer1.0.conv1.weight").scales) scale *= 4;
  const std::unique_ptr<Stage> stage = MakeQuantizeStage(spec_.recipe().quantize());
  const auto outcome = stage->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(outcome->note, HasSubstr("scales of the training"));
  const auto largest = [this](const std::string& name) {
    int magnitude = 0;
    for (const int8_t integer : state_.artifact.tensors.at(name).integers) {
      magnitude = std::max(magnitude, std::abs(static_cast<int>(integer)));
    }
    return magnitude;
  };
  EXPECT_EQ(largest("layer1.0.conv1.weight"), 32) << "a quarter of 127";
  EXPECT_EQ(largest("conv1.weight"), 127);
  const auto mended = stage->Mend(state_, stage_context_, 0);
  ASSERT_TRUE(mended.ok()) << mended.status();
  EXPECT_FALSE(mended->has_value()) << "the weights were trained on these scales";
}

TEST_F(StagesTest, AChannelThatIsReadByWeightsThatRoundToZeroIsRemoved) {
  {
    torch::NoGradGuard no_grad;
    state_.network->tensors().at("layer1.0.conv2.weight").select(1, 3).mul_(1e-6);
  }
  QuantizeTo(v1::WEIGHT_TYPE_INT8);
  ASSERT_TRUE(MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_).ok());
  const StoredTensor& makes = state_.artifact.tensors.at("layer1.0.conv1.weight");
  const int64_t row = makes.count() / makes.shape[0];
  for (int64_t channel = 0; channel < makes.shape[0]; ++channel) {
    const auto begin = makes.integers.begin() + channel * row;
    const bool removed =
        std::all_of(begin, begin + row, [](int8_t integer) { return integer == 0; });
    EXPECT_EQ(removed, channel == 3) << channel;
  }
}

TEST_F(StagesTest, ScoringByLibTorchHearsThatItIsToStop) {
  spec_ = WithDefaults(spec_);
  const std::unique_ptr<Stage> quantize = MakeQuantizeStage(spec_.recipe().quantize());
  ASSERT_TRUE(quantize->Run(state_, stage_context_).ok());
  stage_context_.progress = [](double share, const v1::Progress&) {
    return share < 0.7 ? absl::OkStatus() : absl::CancelledError("stop");
  };
  EXPECT_TRUE(absl::IsCancelled(quantize->Run(state_, stage_context_).status()));
  EXPECT_TRUE(absl::IsCancelled(MakeTemperatureStage()->Run(state_, stage_context_).status()));
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST_F(StagesTest, QuantizationIsMendedByEverBetterRoundingOfTheUnroundedWeights) {
  v1::QuantizeOptions& options = *spec_.mutable_recipe()->mutable_quantize();
  options.set_weights(v1::WEIGHT_TYPE_INT4);
  options.set_per_tensor_scales(true);
  options.set_calibration_images(16);
  spec_ = WithDefaults(spec_);
  const std::unique_ptr<Stage> stage = MakeQuantizeStage(spec_.recipe().quantize());
  const auto weights = [this] {
    return state_.network->Export().at("layer1.0.conv1.weight").values;
  };
  const std::vector<float> before = weights();
  const auto asked = stage->Run(state_, stage_context_);
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_THAT(asked->note, StartsWith("INT4 weights only, "));
  EXPECT_THAT(asked->note, HasSubstr("one scale a tensor"));
  EXPECT_EQ(state_.unrounded.at("layer1.0.conv1.weight").values, before);
  const double asked_distance = Distance(weights(), before);

  const auto first = stage->Mend(state_, stage_context_, 0);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->has_value());
  EXPECT_THAT((*first)->note, HasSubstr("rounded to the nearest"));
  EXPECT_THAT((*first)->note, HasSubstr("batch-norm statistics measured again"));
  EXPECT_THAT((*first)->note, Not(HasSubstr("one scale a tensor")));
  EXPECT_LT(Distance(weights(), before), asked_distance);
  const auto integers = [this] {
    return state_.artifact.tensors.at("layer1.0.conv1.weight").integers;
  };
  const std::vector<int8_t> of_first = integers();

  const auto second = stage->Mend(state_, stage_context_, 1);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(second->has_value());
  EXPECT_THAT((*second)->note, HasSubstr("ranges by MSE, rounded with compensated errors"));
  EXPECT_NE(integers(), of_first);
  const TorchNetwork unrounded = SmallNetwork("resnet20");
  v1::QuantizeOptions nearest = spec_.recipe().quantize();
  nearest.set_per_tensor_scales(false);
  nearest.set_weight_range(v1::RANGE_METHOD_MSE);
  EXPECT_NE(integers(), RoundToNearest(unrounded, nearest, FindWeightGrids(unrounded, nearest))
                            .at("layer1.0.conv1.weight")
                            .integers)
      << "errors are compensated, not only the ranges others";

  const auto third = stage->Mend(state_, stage_context_, 2);
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_FALSE(third->has_value());
}

TEST_F(StagesTest, AnInt4StemAndClassifierAreStoredAndServedAsSuch) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state_.network->tensors()) {
    if (tensor.dim() == 4 && name != "conv1.weight") tensor.zero_();  // takes no time to compress
  }
  v1::QuantizeOptions& options = *spec_.mutable_recipe()->mutable_quantize();
  options.set_weights(v1::WEIGHT_TYPE_INT4);
  options.set_group_size(16);
  options.set_calibration_images(16);
  for (const std::string layer : {"conv1", "fc"}) {
    (*options.mutable_layer_weights())[layer] = v1::WEIGHT_TYPE_INT4;
  }
  (*options.mutable_layer_weights())["layer1.0.conv1"] = v1::WEIGHT_TYPE_INT8;
  spec_ = WithDefaults(spec_);
  const auto quantized = MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_);
  ASSERT_TRUE(quantized.ok()) << quantized.status();
  int layers = 0;
  for (const Layer& layer : state_.network->network().layers) {
    if (layer.weight_count() > 0) ++layers;
  }
  EXPECT_THAT(quantized->note, StartsWith(absl::StrCat(layers - 1, " of ", layers,
                                                       " layers INT4, the others INT8: weights "
                                                       "only, ")));
  const auto bytes = SerializeArtifact(state_.artifact);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const Artifact read = *ParseArtifact(*bytes);
  for (const char* name : {"conv1.weight", "fc.weight"}) {
    EXPECT_EQ(read.tensors.at(name).encoding, Encoding::kInt4) << name;
    EXPECT_EQ(read.tensors.at(name).integers, state_.artifact.tensors.at(name).integers) << name;
  }
  const auto served = EvaluateArtifact(read, state_.dataset, "val", {});
  ASSERT_TRUE(served.ok()) << served.status();
  EXPECT_THAT(served->engine(), HasSubstr("int8"));
}

}  // namespace
}  // namespace cytopress
