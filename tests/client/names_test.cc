#include "client/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(Names, AreThoseOfTheProtocolInSmallLetters) {
  EXPECT_THAT(WeightTypesByName(),
              ElementsAre(Pair("fp16", v1::WEIGHT_TYPE_FP16), Pair("fp32", v1::WEIGHT_TYPE_FP32),
                          Pair("int4", v1::WEIGHT_TYPE_INT4), Pair("int8", v1::WEIGHT_TYPE_INT8)));
  EXPECT_THAT(StemsByName(),
              ElementsAre(Pair("cifar", v1::STEM_CIFAR), Pair("imagenet", v1::STEM_IMAGENET),
                          Pair("stride2", v1::STEM_STRIDE2)));
  EXPECT_THAT(RoundingsByName(),
              ElementsAre(Pair("gptq", v1::ROUNDING_GPTQ), Pair("nearest", v1::ROUNDING_NEAREST)));
  EXPECT_THAT(CollapsePoliciesByName(), ElementsAre(Pair("mend", v1::COLLAPSE_POLICY_MEND),
                                                    Pair("report", v1::COLLAPSE_POLICY_REPORT)));
}

TEST(Names, OfRangesLeaveOutWhatActivationsCannotHave) {
  EXPECT_THAT(RangeMethodsByName(), ElementsAre(Pair("asymmetric", v1::RANGE_METHOD_ASYMMETRIC),
                                                Pair("min-max", v1::RANGE_METHOD_MIN_MAX),
                                                Pair("mse", v1::RANGE_METHOD_MSE),
                                                Pair("percentile", v1::RANGE_METHOD_PERCENTILE)));
  EXPECT_EQ(ActivationRangesByName().size(), 3u);
  EXPECT_EQ(ActivationRangesByName().count("asymmetric"), 0u);
}

TEST(Names, OfWhatHasNoneAreADash) {
  EXPECT_EQ(NameOf(v1::WEIGHT_TYPE_INT8), "int8");
  EXPECT_EQ(NameOf(v1::WEIGHT_TYPE_UNSPECIFIED), "-");
  EXPECT_EQ(NameOf(static_cast<v1::Stem>(99)), "-");
}

TEST(Names, OfWeightsAreTwoWhereLayersDiffer) {
  v1::Model model;
  model.set_weights(v1::WEIGHT_TYPE_INT4);
  EXPECT_EQ(WeightsOf(model), "int4");
  v1::JobSpec* const spec = model.mutable_provenance()->mutable_spec();
  auto& layers = *spec->mutable_recipe()->mutable_quantize()->mutable_layer_weights();
  layers["fc"] = v1::WEIGHT_TYPE_INT4;
  EXPECT_EQ(WeightsOf(model), "int4");
  layers["layer1.0.conv1"] = v1::WEIGHT_TYPE_INT8;
  EXPECT_EQ(WeightsOf(model), "int4/int8");
  layers.clear();
  spec->mutable_goal();
  EXPECT_EQ(WeightsOf(model), "int4/int8");
  model.set_weights(v1::WEIGHT_TYPE_FP16);
  EXPECT_EQ(WeightsOf(model), "fp16") << "the dense model of a search";
}

}  // namespace
}  // namespace cytopress
