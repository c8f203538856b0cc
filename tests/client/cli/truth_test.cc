#include "client/cli/truth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string>& Classes() {
  static const auto* const kClasses = new std::vector<std::string>{
      "basophil", "eosinophil", "immature granulocyte", "monocyte", "mono-nuclear cell"};
  return *kClasses;
}

int Match(const std::string& folder) { return MatchClass(folder, Classes(), {}).value_or(-1); }

TEST(MatchClass, TakesNamesBeginningsAndInitials) {
  EXPECT_EQ(Match("basophil"), 0);
  EXPECT_EQ(Match("Immature_Granulocyte"), 2);
  EXPECT_EQ(Match("eosin"), 1);
  EXPECT_EQ(Match("ig"), 2);
  EXPECT_EQ(Match("monocyte"), 3);  // though it is the beginning of nothing else either
}

TEST(MatchClass, TakesLettersBeyondAscii) {
  const std::vector<std::string> classes = {"好中球", "好酸球", "größe zelle"};
  EXPECT_EQ(MatchClass("好酸球", classes, {}).value_or(-1), 1);
  EXPECT_EQ(MatchClass("好中", classes, {}).value_or(-1), 0);
  EXPECT_EQ(MatchClass("gz", classes, {}).value_or(-1), 2);
  EXPECT_EQ(MatchClass("好", classes, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(MatchClass, PrefersTheVeryName) {
  const std::vector<std::string> classes = {"CD4-", "CD4+", "CD45"};
  EXPECT_EQ(MatchClass("CD4+", classes, {}).value_or(-1), 1);
  EXPECT_EQ(MatchClass("cd4", classes, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(MatchClass, RefusesToGuess) {
  const absl::Status several = MatchClass("mono", Classes(), {}).status();
  EXPECT_EQ(several.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(several.message()), HasSubstr("--alias"));
  const absl::Status none = MatchClass("photos", Classes(), {}).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.message()), HasSubstr("eosinophil"));
  EXPECT_FALSE(MatchClass("", Classes(), {}).ok());
}

TEST(MatchClass, PrefersAnAlias) {
  const auto aliases = ParseAliases({"ba=monocyte", "mono=mono-nuclear cell"});
  ASSERT_TRUE(aliases.ok());
  EXPECT_EQ(*MatchClass("ba", Classes(), *aliases), 3);
  EXPECT_EQ(*MatchClass("mono", Classes(), *aliases), 4);
}

TEST(ParseAliases, WantsFolderEqualsClass) {
  for (const char* entry : {"ig", "=monocyte", "ig="}) {
    EXPECT_EQ(ParseAliases({entry}).status().code(), absl::StatusCode::kInvalidArgument) << entry;
  }
}

}  // namespace
}  // namespace cytopress
