#include "core/artifact/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace cytopress {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Float16Test, KnownValues) {
  EXPECT_EQ(ToFloat16(0.0f), 0x0000);
  EXPECT_EQ(ToFloat16(-0.0f), 0x8000);
  EXPECT_EQ(ToFloat16(1.0f), 0x3c00);
  EXPECT_EQ(ToFloat16(-2.0f), 0xc000);
  EXPECT_EQ(ToFloat16(0.333251953125f), 0x3555);
  EXPECT_EQ(ToFloat16(65504.0f), 0x7bff);
  EXPECT_EQ(ToFloat16(0x1p-14f), 0x0400);  // smallest normal
  EXPECT_EQ(ToFloat16(0x1p-24f), 0x0001);  // smallest subnormal
}

TEST(Float16Test, RoundsToNearestEven) {
  // Between 1 and 1 + 2^-10 the middle goes to the even 1, above it to the odd neighbour.
  EXPECT_EQ(ToFloat16(1 + 0x1p-11f), 0x3c00);
  EXPECT_EQ(ToFloat16(1 + 0x1p-11f + 0x1p-20f), 0x3c01);
  EXPECT_EQ(ToFloat16(1 + 3 * 0x1p-11f), 0x3c02);
  EXPECT_EQ(ToFloat16(2 - 0x1p-12f), 0x4000);  // the carry reaches the exponent
}

TEST(Float16Test, RoundsSubnormalsToNearestEven) {
  EXPECT_EQ(ToFloat16(0x1p-25f), 0x0000);
  EXPECT_EQ(ToFloat16(0x1p-25f + 0x1p-40f), 0x0001);
  EXPECT_EQ(ToFloat16(3 * 0x1p-25f), 0x0002);
  EXPECT_EQ(ToFloat16(0x1p-14f - 0x1p-26f), 0x0400);  // up to the smallest normal
  EXPECT_EQ(ToFloat16(-0x1p-24f), 0x8001);
  EXPECT_EQ(ToFloat16(0x1p-140f), 0x0000);
}

TEST(Float16Test, OverflowAndSpecialValues) {
  EXPECT_EQ(ToFloat16(65519.99f), 0x7bff);
  EXPECT_EQ(ToFloat16(65520.0f), 0x7c00);
  EXPECT_EQ(ToFloat16(kInfinity), 0x7c00);
  EXPECT_EQ(ToFloat16(-kInfinity), 0xfc00);
  EXPECT_EQ(FromFloat16(0x7c00), kInfinity);
  EXPECT_EQ(FromFloat16(0xfc00), -kInfinity);
  EXPECT_TRUE(std::isnan(FromFloat16(ToFloat16(std::nanf("")))));
  EXPECT_TRUE(std::isnan(FromFloat16(0x7c01)));
}

TEST(Float16Test, EveryValueReturns) {
  for (int bits = 0; bits <= 0xffff; ++bits) {
    const float value = FromFloat16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(ToFloat16(value), bits) << value;
  }
}

// Against the definition: no binary16 number is nearer.
TEST(Float16Test, NoNeighbourIsNearer) {
  for (int bits = 0; bits < 0x7bff; ++bits) {
    const float low = FromFloat16(static_cast<uint16_t>(bits));
    const float high = FromFloat16(static_cast<uint16_t>(bits + 1));
    ASSERT_EQ(ToFloat16(low + (high - low) * 0.4375f), bits);
    ASSERT_EQ(ToFloat16(low + (high - low) * 0.5625f), bits + 1);
    ASSERT_EQ(ToFloat16(low + (high - low) * 0.5f), bits + (bits & 1));
  }
}

}  // namespace
}  // namespace cytopress
