#include "server/paging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cytopress {
namespace {

using ::testing::HasSubstr;

TEST(PageSize, ZeroIsTheDefaultAndTooManyAreTheMost) {
  EXPECT_EQ(*PageSize(0), 50);
  EXPECT_EQ(*PageSize(1), 1);
  EXPECT_EQ(*PageSize(500), 500);
  EXPECT_EQ(*PageSize(501), 500);
}

TEST(PageSize, ANegativeOneIsRefused) {
  const absl::Status refused = PageSize(-1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("-1 is negative; give 1 to 500"));
  ASSERT_EQ(BadRequestOf(refused).field_violations_size(), 1);
  EXPECT_EQ(BadRequestOf(refused).field_violations(0).field(), "page_size");
}

}  // namespace
}  // namespace cytopress
