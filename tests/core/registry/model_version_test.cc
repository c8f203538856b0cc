#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

TEST(ModelVersionTest, Parses) {
  EXPECT_TRUE(*ParseModelVersion("blood") == (ModelVersion{"blood", 0}));
  EXPECT_TRUE(*ParseModelVersion("blood@3") == (ModelVersion{"blood", 3}));
  EXPECT_TRUE(*ParseModelVersion("0-a.b_c@12") == (ModelVersion{"0-a.b_c", 12}));
}

TEST(ModelVersionTest, RefusesAnythingElse) {
  for (const char* text :
       {"", "@", "@1", "blood@", "blood@0", "blood@-1", "blood@+1", "blood@ 1", "blood@1 ",
        "blood@1@2", "blood@x", "blood@99999999999999999999", "Blood", "blo od", "../x", ".x"}) {
    const absl::Status status = ParseModelVersion(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(text));
  }
}

TEST(ModelVersionTest, TextReturns) {
  for (const char* text : {"blood", "blood@3"}) {
    EXPECT_EQ(ToString(*ParseModelVersion(text)), text);
  }
}

TEST(ModelVersionTest, Names) {
  EXPECT_TRUE(IsValidModelName("a"));
  EXPECT_TRUE(IsValidModelName("7"));
  EXPECT_TRUE(IsValidModelName(std::string(63, 'a')));
  EXPECT_FALSE(IsValidModelName(std::string(64, 'a')));
  for (const char* name : {"", "-a", ".a", "_a", "..", "a/b", "A", "a b", "\xc3\xa4"}) {
    EXPECT_FALSE(IsValidModelName(name)) << name;
  }
}

}  // namespace
}  // namespace cytopress
