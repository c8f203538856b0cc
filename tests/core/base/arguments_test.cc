#include "core/base/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace cytopress {
namespace {

TEST(ArgumentsToParseTest, AnEmptyValueIsAnArgumentOfItsOwn) {
  const char* const argv[] = {"program", "jobs", "--zoo=", "--a=b=", "-o=", "--=", "--", "--x="};
  EXPECT_THAT(ArgumentsToParse(std::size(argv), argv),
              testing::ElementsAre("--x=", "--", "--=", "-o=", "--a=b=", "", "--zoo", "jobs"));
}

TEST(DidYouMeanTest, NamesTheNearestThatIsAtMostTwoLettersAway) {
  const std::vector<std::string> known = {"--listen", "--lists", "--workers"};
  EXPECT_EQ(DidYouMean("--listne", known), "; did you mean --listen?");
  EXPECT_EQ(DidYouMean("--list", known), "; did you mean --lists?");
  EXPECT_EQ(DidYouMean("--port", known), "");
  EXPECT_EQ(DidYouMean("-w", {"-o"}), "; did you mean -o?");
  EXPECT_EQ(DidYouMean("x", {"o"}), "") << "no letter in common";
}

// What a program prints whose --database has to be given.
std::string Complaint(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"program"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  CLI::App app;
  std::string database;
  int workers = 0;
  app.add_option("--database", database)->required();
  app.add_option("--workers", workers);
  app.failure_message(UsageMessage);
  std::ostringstream out;
  try {
    app.parse(ArgumentsToParse(static_cast<int>(argv.size()), argv.data()));
  } catch (const CLI::ParseError& error) {
    app.exit(error, out, out);
  }
  return out.str();
}

TEST(UsageMessageTest, NamesTheFlagThatIsMeant) {
  EXPECT_EQ(Complaint({"--database", "x", "--wokers=2"}),
            "an argument was not expected: --wokers=2; did you mean --workers?\n"
            "Run with --help for more information.\n");
  EXPECT_EQ(Complaint({"--databse", "x"}),
            "arguments were not expected: --databse x; did you mean --database?\n"
            "Run with --help for more information.\n");
  EXPECT_THAT(Complaint({"--database", "x", "--port=1"}), testing::HasSubstr("--port=1\n"));
  EXPECT_THAT(Complaint({}), testing::HasSubstr("--database is required"));
  EXPECT_THAT(Complaint({"--database", "x", "--workers", "many"}), testing::HasSubstr("many"));
  EXPECT_EQ(Complaint({"--database", "x"}), "");
}

}  // namespace
}  // namespace cytopress
