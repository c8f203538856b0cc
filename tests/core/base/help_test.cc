#include "core/base/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

namespace cytopress {
namespace {

using ::testing::HasSubstr;

std::string Help(int columns) {
  CLI::App app("Does things.", "program");
  app.formatter(std::make_shared<HelpFormatter>(columns));
  std::string folder;
  app.add_option("--folder", folder, "folder of everything that is kept, and of nothing else");
  app.add_flag_function(
      "--cache,!--no-cache", [](int64_t) {}, "whether to");
  app.add_subcommand("serve", "answers whatever it is asked, one call after the other");
  return app.help();
}

TEST(HelpFormatterTest, DescriptionsEndWhereTheTerminalDoes) {
  const std::string blanks(30, ' ');  // before a description
  EXPECT_THAT(Help(80), HasSubstr("  --folder TEXT               "
                                  "folder of everything that is kept, and of nothing\n" +
                                  blanks + "else\n"));
  EXPECT_THAT(Help(80),
              HasSubstr("answers whatever it is asked, one call after the\n" + blanks + "other\n"));
  EXPECT_THAT(Help(90), HasSubstr("that is kept, and of nothing else\n"));
}

TEST(HelpFormatterTest, LinesAreNeitherTooShortNorTooLongToRead) {
  EXPECT_EQ(Help(1), Help(60));
  EXPECT_NE(Help(60), Help(80));
  EXPECT_EQ(Help(1000), Help(100));
}

TEST(HelpFormatterTest, AFlagThatSaysNoHasNoMark) {
  EXPECT_THAT(Help(80), HasSubstr("  --cache,--no-cache          whether to\n"));
}

}  // namespace
}  // namespace cytopress
