// Data sets on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/image/image.h"
#include "tests/client/cli/cli_fixture.h"
#include "tests/core/dataset/npz_builder.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CliTest, ExportGivesEveryClassAFolderOfItsOwn) {
  const auto make = [this](const std::string& name, const std::vector<std::string>& classes) {
    uint8_t shade = 0;
    for (const std::string& class_name : classes) {
      for (const char* split : {"train", "val", "test"}) {
        const std::string at = absl::StrCat(folder_, "/", name, "/", split, "/", class_name);
        ASSERT_TRUE(MakeDirectories(at).ok());
        const Image image{28, 28, 3, std::vector<uint8_t>(28 * 28 * 3, ++shade)};
        ASSERT_TRUE(WriteFileAtomically(at + "/a.png", *EncodePng(image)).ok());
      }
    }
  };
  const std::string to = folder_ + "/to";
  make("cells", {"好中球", "好酸球", "CD4+", "CD4-"});
  EXPECT_EQ(Run({"datasets", "export", folder_ + "/cells", "-o", to}), 0) << err();
  for (const char* name : {"好中球", "好酸球", "CD4+", "CD4-"}) {
    EXPECT_TRUE(std::filesystem::is_directory(absl::StrCat(to, "/", name))) << name;
  }
  make("twins", {"a b", "a_b"});
  EXPECT_EQ(Run({"datasets", "export", folder_ + "/twins", "-o", to}), 2);
  EXPECT_THAT(err(), HasSubstr("\"a b\" and \"a_b\" would share the folder \"a_b\""));
}

TEST_F(CliTest, DatasetsNeedNoService) {
  const std::string svg = folder_ + "/classes.svg";
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--svg", svg}), 0);
  EXPECT_THAT(out(), HasSubstr("8 classes, 200 images"));
  EXPECT_THAT(out(), HasSubstr("SYNTHETIC"));
  EXPECT_THAT(*ReadFile(svg, 1 << 20), HasSubstr("</svg>"));
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--svg", folder_ + "/missing/a.svg"}), 2)
      << "as for all files that cannot be written";
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--json"}), 0);
  EXPECT_EQ(OutJson()["class_names"].size(), 8u);
  EXPECT_EQ(Run({"datasets", "show", folder_ + "/missing.npz"}), 3);
}

TEST_F(CliTest, DatasetsAreReadAsAJobWithTheseFlagsReadsThem) {
  const std::string cells = folder_ + "/cells";
  uint8_t shade = 0;
  for (const char* at : {"/train/a", "/train/b", "/val/a", "/val/b", "/test/a", "/test/b"}) {
    ASSERT_TRUE(MakeDirectories(cells + at).ok());
    const Image image{64, 48, 3, std::vector<uint8_t>(64 * 48 * 3, ++shade)};
    ASSERT_TRUE(WriteFileAtomically(cells + at + "/1.png", *EncodePng(image)).ok());
  }
  EXPECT_EQ(Run({"datasets", "show", cells, "--json"}), 0) << err();
  EXPECT_EQ(OutJson()["width"], 28);
  EXPECT_EQ(
      Run({"datasets", "show", "--image-size", "32", "--class-names", "x,y", cells, "--json"}), 0)
      << err();
  EXPECT_EQ(OutJson()["width"], 32);
  EXPECT_EQ(OutJson()["height"], 32);
  EXPECT_EQ(OutJson()["class_names"], Json::array({"x", "y"}));
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--image-size", "32"}), 2);
  EXPECT_THAT(err(), HasSubstr("--image-size 32 is for folders"));
}

TEST_F(CliTest, DatasetsSayWhatNoNetworkTakes) {
  const std::string path = folder_ + "/tiny.npz";
  ASSERT_TRUE(WriteFileAtomically(path, BuildZip(ValidMembers())).ok());
  EXPECT_EQ(Run({"datasets", "show", path}), 0);
  EXPECT_THAT(out(), HasSubstr("no job can use it: "));
  EXPECT_THAT(out(), HasSubstr("use 8 to 1024"));
  EXPECT_EQ(Run({"datasets", "show", path, "--json"}), 0);
  EXPECT_THAT(OutJson()["problem"].get<std::string>(), HasSubstr("2 pixels"));
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--json"}), 0);
  EXPECT_FALSE(OutJson().contains("problem"));
}

TEST_F(CliTest, ExportsImagesOfAllClassesInTurn) {
  EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "--count", "10", "-o", folder_, "--json"}),
            0);
  EXPECT_EQ(OutJson()["files"].size(), 10u);
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    folders += entry.is_directory() ? 1 : 0;
  }
  EXPECT_EQ(folders, 8);
}

TEST_F(CliTest, ExportSaysWhenThereAreNotAsManyImages) {
  const std::string to = folder_ + "/to";
  EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "--count", "4000", "-o", to}), 0);
  EXPECT_THAT(out(), HasSubstr(": all that there are, not 4000\n"));
  EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "-o", folder_ + "/few"}), 0);
  EXPECT_THAT(out(), Not(HasSubstr("all that there are")));
}

TEST_F(CliTest, ExportOverwritesNothingUnlessItIsTold) {
  const std::vector<std::string> command = {"datasets", "export", "synthetic:200", "--count",
                                            "8",        "-o",     folder_};
  EXPECT_EQ(Run(command), 0);
  std::string first;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    if (entry.is_regular_file()) first = entry.path().string();
  }
  const std::string before = *ReadFile(first, 1 << 20);
  EXPECT_EQ(Run(command), 2);
  EXPECT_THAT(err(), HasSubstr(".png is there already; name another folder with -o"));
  EXPECT_EQ(*ReadFile(first, 1 << 20), before);
  ASSERT_TRUE(WriteFileAtomically(first, "mine").ok());
  std::vector<std::string> forced = command;
  forced.push_back("--force");
  EXPECT_EQ(Run(forced), 0) << err();
  EXPECT_EQ(*ReadFile(first, 1 << 20), before);
}

TEST_F(CliTest, ExportsOfSeveralSplitsShareAFolder) {
  const auto files = [this] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    }
    return names;
  };
  for (const char* split : {"train", "val", "test"}) {
    const size_t before = files().size();
    EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "--split", split, "--count", "8", "-o",
                   folder_}),
              0);
    EXPECT_EQ(files().size(), before + 8) << split;
  }
  EXPECT_THAT(files(), Contains("test-00000.png"));
}

}  // namespace
}  // namespace cytopress
