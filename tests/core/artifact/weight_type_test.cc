#include "core/artifact/weight_type.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(WeightTypeTest, KnowsIntegers) {
  EXPECT_TRUE(IsInteger(v1::WEIGHT_TYPE_INT8));
  EXPECT_TRUE(IsInteger(v1::WEIGHT_TYPE_INT4));
  EXPECT_FALSE(IsInteger(v1::WEIGHT_TYPE_FP16));
  EXPECT_FALSE(IsInteger(v1::WEIGHT_TYPE_UNSPECIFIED));
}

TEST(WeightTypeTest, NamesTypesOfNewerProgramsToo) {
  EXPECT_EQ(WeightTypeName(v1::WEIGHT_TYPE_FP32), "fp32");
  EXPECT_EQ(WeightTypeName(v1::WEIGHT_TYPE_INT4), "int4");
  EXPECT_EQ(WeightTypeName(static_cast<v1::WeightType>(99)), "unknown");
}

}  // namespace
}  // namespace cytopress
