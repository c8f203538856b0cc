#include "server/supervisor/cores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CoresTest, ReadsLists) {
  EXPECT_THAT(*ParseCores("0"), ElementsAre(0));
  EXPECT_THAT(*ParseCores("8,0-2,1"), ElementsAre(0, 1, 2, 8));
  for (const char* bad : {"", "a", "1-", "-1", "3-2", "1,,2", "0-100000", "1-2-3"}) {
    EXPECT_EQ(ParseCores(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(CoresTest, KnowsTheOthers) {
  const std::vector<int> all = OtherCores({});
  ASSERT_FALSE(all.empty());
  EXPECT_THAT(OtherCores(all), IsEmpty());
  EXPECT_EQ(OtherCores({all[0]}).size(), all.size() - 1);
}

TEST(CoresTest, RefusesCoresThatAreNotThere) {
  EXPECT_EQ(UseCores(0, {1023}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckUsable(OtherCores({})), absl::OkStatus());
  EXPECT_EQ(CheckUsable({OtherCores({})[0], 1023}).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cytopress
