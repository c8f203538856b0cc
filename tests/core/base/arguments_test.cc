#include "core/base/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

namespace cytopress {
namespace {

TEST(ArgumentsToParseTest, AnEmptyValueIsAnArgumentOfItsOwn) {
  const char* const argv[] = {"program", "jobs", "--zoo=", "--a=b=", "-o=", "--=", "--", "--x="};
  EXPECT_THAT(ArgumentsToParse(std::size(argv), argv),
              testing::ElementsAre("--x=", "--", "--=", "-o=", "--a=b=", "", "--zoo", "jobs"));
}

}  // namespace
}  // namespace cytopress
