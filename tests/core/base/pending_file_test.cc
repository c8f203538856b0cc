#include "core/base/pending_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/core/base/folder_fixture.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

class PendingFileTest : public FolderTest {};

TEST_F(PendingFileTest, TakesItsNameWhenItIsComplete) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "old").ok());
  absl::StatusOr<PendingFile> created = PendingFile::Create(Path("a"));
  ASSERT_TRUE(created.ok()) << created.status();
  PendingFile file = *std::move(created);
  EXPECT_TRUE(file.replaces());
  EXPECT_TRUE(file.Append("first ").ok());
  EXPECT_TRUE(file.Append("").ok());
  EXPECT_TRUE(file.Append("second").ok());
  EXPECT_EQ(*ReadFile(Path("a"), 100), "old");
  EXPECT_TRUE(file.Commit().ok());
  EXPECT_EQ(*ReadFile(Path("a"), 100), "first second");
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(PendingFileTest, LeavesNothingWhenItIsGivenUp) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "old").ok());
  for (const char* name : {"a", "b"}) {
    absl::StatusOr<PendingFile> file = PendingFile::Create(Path(name));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(file->Append("half").ok());
  }
  EXPECT_EQ(*ReadFile(Path("a"), 100), "old");
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(PendingFileTest, LeavesNothingWhenItCannotTakeItsName) {
  {
    absl::StatusOr<PendingFile> file = PendingFile::Create(Path("a"));
    ASSERT_TRUE(file.ok()) << file.status();
    std::filesystem::create_directory(Path("a"));
    const absl::Status status = file->Commit();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot replace " + Path("a")));
  }
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(PendingFileTest, NamesAFolderThatIsNotThere) {
  const absl::Status status = PendingFile::Create(Path("none/a")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("none/a")));
}

TEST_F(PendingFileTest, WhoMayReadIsWhatTheUmaskOrTheOldFileSays) {
  const auto mode = [&](const std::string& name) {
    struct stat info;
    EXPECT_TRUE(WriteFileAtomically(Path(name), "x").ok());
    EXPECT_EQ(stat(Path(name).c_str(), &info), 0);
    return info.st_mode & 0777;
  };
  const mode_t before = umask(022);
  EXPECT_EQ(mode("a"), 0644u);
  umask(077);
  EXPECT_EQ(mode("b"), 0600u);
  EXPECT_EQ(mode("a"), 0644u);
  umask(022);
  EXPECT_EQ(mode("b"), 0600u);
  umask(before);
}

TEST_F(PendingFileTest, NeedsNoProc) {
  constexpr int kCannotHide = 2;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Hidden from this process alone.
    const bool hidden = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
                        mount("none", "/proc", "tmpfs", 0, nullptr) == 0;
    if (!hidden) _exit(kCannotHide);
    _exit(WriteFileAtomically(Path("a"), "new").ok() ? 0 : 1);
  }
  int end = 0;
  ASSERT_EQ(waitpid(child, &end, 0), child);
  ASSERT_TRUE(WIFEXITED(end));
  if (WEXITSTATUS(end) == kCannotHide) GTEST_SKIP() << "/proc cannot be hidden on this machine";
  EXPECT_EQ(WEXITSTATUS(end), 0);
  EXPECT_EQ(*ReadFile(Path("a"), 100), "new");
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(PendingFileTest, ALinkStaysAndTheFileAtItsEndIsReplaced) {
  std::filesystem::create_directory(Path("other"));
  ASSERT_TRUE(WriteFileAtomically(Path("other/a"), "old").ok());
  std::filesystem::create_symlink("other/a", Path("link"));
  EXPECT_EQ(PathToReplace(Path("link")), std::filesystem::canonical(Path("other/a")));
  ASSERT_TRUE(WriteFileAtomically(Path("link"), "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(*ReadFile(Path("other/a"), 100), "new");
}

TEST_F(PendingFileTest, ALinkToNothingYetStaysToo) {
  std::filesystem::create_directory(Path("other"));
  std::filesystem::create_symlink("other/a", Path("second"));
  std::filesystem::create_symlink(Path("second"), Path("first"));
  ASSERT_TRUE(WriteFileAtomically(Path("first"), "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("first")));
  EXPECT_EQ(*ReadFile(Path("other/a"), 100), "new");
  std::filesystem::create_symlink("loop", Path("loop"));
  EXPECT_EQ(PathToReplace(Path("loop")), Path("loop"));
}

TEST_F(PendingFileTest, APipeIsWrittenInto) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", Path("link"));
  for (const char* name : {"pipe", "link"}) {
    const int reader = open(Path(name).c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader, 0);
    EXPECT_EQ(PathToReplace(Path(name)), "");
    EXPECT_TRUE(WriteFileAtomically(Path(name), "content").ok());
    char got[16];
    EXPECT_EQ(read(reader, got, sizeof(got)), 7);
    close(reader);
  }
  EXPECT_TRUE(std::filesystem::is_fifo(Path("pipe")));
  EXPECT_EQ(FileCount(), 2);
}

TEST_F(PendingFileTest, AnOpenFileIsWrittenOn) {
  const int fd = open(Path("a").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, "head ", 5), 5);
  const std::string opened = absl::StrCat("/dev/fd/", fd);
  std::filesystem::create_symlink(opened, Path("link"));
  EXPECT_EQ(PathToReplace(opened), "");
  EXPECT_TRUE(CheckWritable(opened).ok());
  EXPECT_TRUE(WriteFileAtomically(opened, "content ").ok());
  EXPECT_TRUE(WriteFileAtomically(Path("link"), "more ").ok());
  ASSERT_EQ(write(fd, "tail", 4), 4);
  close(fd);
  EXPECT_EQ(*ReadFile(Path("a"), 100), "head content more tail");
  const int read_only = open(Path("a").c_str(), O_RDONLY);
  ASSERT_GE(read_only, 0);
  EXPECT_EQ(CheckWritable(absl::StrCat("/proc/self/fd/", read_only)).code(),
            absl::StatusCode::kInvalidArgument);
  close(read_only);
}

TEST_F(PendingFileTest, ChecksThatAPlaceIsWritable) {
  EXPECT_TRUE(CheckWritable(Path("new")).ok());
  EXPECT_EQ(FileCount(), 0);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "x").ok());
  EXPECT_TRUE(CheckWritable(Path("a")).ok());
  EXPECT_EQ(*ReadFile(Path("a"), 10), "x");
  EXPECT_EQ(CheckWritable(Path("none/a")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckWritable(folder_).code(), absl::StatusCode::kInvalidArgument);
  // So long a name leaves no room for that of the temporary file.
  EXPECT_EQ(CheckWritable(Path(std::string(250, 'x'))).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FileCount(), 1);
}

}  // namespace
}  // namespace cytopress
