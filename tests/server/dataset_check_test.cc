#include "server/dataset_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/dataset/dataset.h"
#include "tests/as_nobody.h"
#include "tests/core/dataset/npz_builder.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DatasetCheckTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, absl::string_view content) const {
    WriteZip(content, temporary_.PathOf(name));
    return temporary_.PathOf(name);
  }
  // `names` end in / where they are folders.
  std::string MakeFolder(const std::string& name, const std::vector<std::string>& names) const {
    const std::filesystem::path folder = temporary_.PathOf(name);
    std::filesystem::create_directories(folder);
    for (const std::string& inner : names) {
      if (inner.back() == '/') {
        std::filesystem::create_directories(folder / inner);
      } else {
        WriteZip("content", (folder / inner).string());
      }
    }
    return folder.string();
  }
  // A worker would refuse it, too.
  std::string Refusal(const std::string& path) const {
    EXPECT_FALSE(LoadDataset(path).ok()) << path;
    const std::string wrong = WhatIsWrongWithDataset(path);
    EXPECT_THAT(wrong, HasSubstr(path));
    return wrong;
  }

  const TemporaryFolder temporary_;
};

TEST_F(DatasetCheckTest, WhatAWorkerReadsIsInOrder) {
  const std::string path = Write("a.npz", BuildZip(ValidMembers()));
  EXPECT_TRUE(LoadDataset(path).ok());
  EXPECT_EQ(WhatIsWrongWithDataset(path), "");
  EXPECT_EQ(WhatIsWrongWithDataset(MakeFolder("classes", {"readme.txt", "a/", "b/"})), "");
  EXPECT_EQ(WhatIsWrongWithDataset(MakeFolder("splits", {"train/a/", "val/a/", "test/a/"})), "");
}

TEST_F(DatasetCheckTest, APathToNothingIsRefused) {
  EXPECT_THAT(Refusal(temporary_.PathOf("nothing.npz")),
              AllOf(HasSubstr("does not exist"), HasSubstr("give the path of an .npz file")));
  EXPECT_THAT(Refusal(Write("file", "content") + "/data"), HasSubstr("does not exist"));
}

TEST_F(DatasetCheckTest, AFileThatIsNoWholeArchiveIsRefused) {
  EXPECT_THAT(Refusal(Write("empty.npz", "")), HasSubstr("\" is empty; give an .npz file"));
  EXPECT_THAT(Refusal(Write("text.csv", "a,b\n1,2\n")), HasSubstr("not a ZIP archive"));
  const std::string whole = BuildZip(ValidMembers());
  EXPECT_THAT(Refusal(Write("cut.npz", whole.substr(0, whole.size() / 2))),
              AllOf(HasSubstr("truncated"), HasSubstr("copied to its end")));
}

TEST_F(DatasetCheckTest, APipeIsNotWaitedFor) {
  const std::string path = temporary_.PathOf("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(Refusal(path), HasSubstr("not a regular file"));
}

TEST_F(DatasetCheckTest, AnArchiveOfSomethingElseIsRefused) {
  std::vector<ZipEntry> members = ValidMembers();
  FindEntry("val_labels.npy", &members)->name = "val_classes.npy";
  EXPECT_THAT(Refusal(Write("a.npz", BuildZip(members))),
              AllOf(HasSubstr("no member val_labels.npy"), HasSubstr("needed are")));
}

TEST_F(DatasetCheckTest, AFolderWithoutClassesIsRefused) {
  EXPECT_THAT(Refusal(MakeFolder("images", {"a.png", "b.png", ".hidden/"})),
              HasSubstr("no class folder; needed are folders CLASS/"));
  EXPECT_THAT(Refusal(MakeFolder("empty", {})), HasSubstr("no class folder"));
  const std::string empty_split = MakeFolder("splits", {"train/a/", "val/", "test/a/"});
  EXPECT_THAT(Refusal(empty_split), HasSubstr(empty_split + "/val\" has no class folder"));
  EXPECT_THAT(Refusal(MakeFolder("half", {"train/a/", "test/a/"})),
              HasSubstr("has a folder train but no folder val"));
}

TEST_F(DatasetCheckTest, WhatMustNotBeReadIsRefused) {
  const std::string file = Write("a.npz", BuildZip(ValidMembers()));
  const std::string folder = MakeFolder("classes", {"a/"});
  for (const std::string& path : {file, folder}) {
    std::filesystem::permissions(path, std::filesystem::perms::none);
    std::string wrong;
    AsNobody(temporary_.path(), [&] { wrong = WhatIsWrongWithDataset(path); });
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    EXPECT_THAT(wrong, AllOf(HasSubstr(path), HasSubstr("cannot be read"), HasSubstr("chmod")));
  }
}

}  // namespace
}  // namespace cytopress
