#include "core/base/backoff.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(BackoffAfter, DoublesUpToTheLongest) {
  const auto pause_s = [](int failures) {
    return absl::ToDoubleSeconds(BackoffAfter(failures, absl::Seconds(1), absl::Seconds(6)));
  };
  EXPECT_EQ(pause_s(0), 1);
  EXPECT_EQ(pause_s(1), 1);
  EXPECT_EQ(pause_s(2), 2);
  EXPECT_EQ(pause_s(3), 4);
  EXPECT_EQ(pause_s(4), 6);
  EXPECT_EQ(pause_s(1000), 6);
}

}  // namespace
}  // namespace cytopress
