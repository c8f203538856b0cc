#include "core/base/amounts.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace cytopress {
namespace {

TEST(AmountsTest, BytesHaveTheUnitThatLeavesFewDigits) {
  EXPECT_EQ(ReadableBytes(0), "0 B");
  EXPECT_EQ(ReadableBytes(999), "999 B");
  EXPECT_EQ(ReadableBytes(1000), "1.0 kB");
  EXPECT_EQ(ReadableBytes(14680), "14.7 kB");
  EXPECT_EQ(ReadableBytes(299463), "299 kB");
  EXPECT_EQ(ReadableBytes(23500000), "23.5 MB");
  EXPECT_EQ(ReadableBytes(int64_t{8000000000}), "8.0 GB");
}

}  // namespace
}  // namespace cytopress
