#include "client/cli/image_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/as_nobody.h"
#include "tests/client/cli/standard_input.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

class ImageFilesTest : public ::testing::Test {
 protected:
  void Add(const std::string& name) {
    fs::create_directories(fs::path(Path(name)).parent_path());
    ASSERT_TRUE(WriteFileAtomically(Path(name), "x").ok());
  }
  std::string Path(const std::string& name) const { return temporary_.PathOf(name); }

  // "NAME" or "NAME: error", NAME within the test's folder.
  std::vector<std::string> Find(const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const std::string& name : names) paths.push_back(Path(name));
    found_ = FindImageFiles(paths);
    std::vector<std::string> lines;
    for (const ImageFile& file : found_.files) {
      lines.push_back(file.path.substr(Path("").size()));
      if (!file.error.ok()) absl::StrAppend(&lines.back(), ": ", file.error.message());
    }
    return lines;
  }

  const TemporaryFolder temporary_;
  ImageFiles found_;
};

TEST_F(ImageFilesTest, TakesTheImagesOfFoldersSortedAndSaysWhatIsLeft) {
  for (const char* name : {"cells/b/2.png", "cells/a.JPG", "cells/b/1.jpeg", "cells/photo.TIF",
                           "cells/b/photo.bmp", "cells/b/more.tif", "cells/LICENSE", "odd.name"}) {
    Add(name);
  }
  EXPECT_THAT(Find({"odd.name", "cells"}),
              ElementsAre("odd.name", "cells/a.JPG", "cells/b/1.jpeg", "cells/b/2.png"));
  EXPECT_EQ(LeftOutInWords(found_),
            "4 files (.bmp, .tif, no ending) are not called .png, .jpg or .jpeg");
  EXPECT_EQ(LeftOutInWords(ImageFiles()), "");
}

TEST_F(ImageFilesTest, PassesOverHiddenNames) {
  for (const char* name : {"cells/._1.png", "cells/.hidden/2.png", "cells/1.png", ".mine/3.png"}) {
    Add(name);
  }
  EXPECT_THAT(Find({"cells"}), ElementsAre("cells/1.png"));
  EXPECT_EQ(found_.left_out, 0);
  EXPECT_THAT(Find({".mine"}), ElementsAre(".mine/3.png")) << "it was asked for";
}

TEST_F(ImageFilesTest, WhatCannotBeReadStandsAmongTheOthers) {
  Add("cells/1.png");
  Add("tifs/1.tif");
  fs::create_symlink("nowhere", Path("cells/dangling.png"));
  fs::create_symlink("loop.png", Path("cells/loop.png"));
  fs::create_directory(Path("folder.jpg"));
  ASSERT_EQ(mkfifo(Path("cells/pipe.png").c_str(), 0600), 0);
  EXPECT_THAT(
      Find({"missing.png", "cells", "folder.jpg", "tifs"}),
      ElementsAre(
          "missing.png: there is no such file or folder", "cells/1.png",
          "cells/dangling.png: there is no such file or folder",
          HasSubstr("cells/loop.png: cannot be read: "),
          "cells/pipe.png: this is no file with content; - reads an image from standard input",
          "folder.jpg: there is no .png, .jpg or .jpeg in the folder",
          "tifs: there is no .png, .jpg or .jpeg in the folder; 1 file (.tif) is not called "
          ".png, .jpg or .jpeg"));
  EXPECT_EQ(found_.files[0].error.code(), absl::StatusCode::kNotFound);
}

TEST_F(ImageFilesTest, APipeThatIsNamedIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(Find({"pipe"}), ElementsAre(HasSubstr("- reads an image from standard input")));
  EXPECT_EQ(found_.files[0].error.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ImageFilesTest, StandardInputIsOneImage) {
  const ImageFiles found = FindImageFiles({"-", "/dev/stdin"});
  ASSERT_EQ(found.files.size(), 2u);
  EXPECT_EQ(found.files[0].path, "-");
  EXPECT_TRUE(found.files[0].error.ok()) << found.files[0].error;
  EXPECT_EQ(found.files[1].error.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ImageFilesTest, ReadsStandardInputToItsEnd) {
  const std::string image(100000, 'x');  // more than is read at a time
  ASSERT_TRUE(WriteFileAtomically(Path("image"), image).ok());
  const StandardInput input(Path("image"));
  EXPECT_EQ(ReadImageFile("-").value_or("none"), image);
  EXPECT_EQ(ReadImageFile("-").value_or("none"), "") << "it was read";
}

TEST_F(ImageFilesTest, WhateverIsWrongWithAFileIsTheSameToAScript) {
  Add("large.png");
  fs::resize_file(Path("large.png"), (int64_t{64} << 20) + 1);
  EXPECT_EQ(ReadImageFile(Path("large.png")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadImageFile(Path("missing")).status().code(), absl::StatusCode::kNotFound);
  Add("secret.png");
  fs::permissions(Path("secret.png"), fs::perms::none);
  fs::create_directory(Path("closed"));
  fs::permissions(Path("closed"), fs::perms::none);
  AsNobody(temporary_.path(), [this] {
    EXPECT_EQ(ReadImageFile(Path("secret.png")).status().code(),
              absl::StatusCode::kInvalidArgument);
    Find({"closed"});
    EXPECT_EQ(found_.files[0].error.code(), absl::StatusCode::kInvalidArgument);
  });
  fs::permissions(Path("closed"), fs::perms::owner_all);
}

}  // namespace
}  // namespace cytopress
