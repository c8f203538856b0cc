#include "core/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  int FileCount() const {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

TEST_F(FileTest, WritesAndReads) {
  const std::string content("any \0 bytes\n", 12);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), content).ok());
  EXPECT_EQ(*ReadFile(Path("a"), 100), content);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "").ok());
  EXPECT_EQ(*ReadFile(Path("a"), 100), "");
  EXPECT_EQ(FileCount(), 1);  // no temporary file is left
}

TEST_F(FileTest, WhoMayReadIsWhatTheUmaskOrTheOldFileSays) {
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

TEST_F(FileTest, ReadingIsBounded) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "12345").ok());
  EXPECT_EQ(*ReadFile(Path("a"), 5), "12345");
  const absl::Status status = ReadFile(Path("a"), 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("a")));
}

TEST_F(FileTest, ReadingNamesWhatIsMissing) {
  const absl::Status missing = ReadFile(Path("none"), 10).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(Path("none")));
  EXPECT_EQ(ReadFile(folder_, 10).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, APemFileIsKnownByItsFirstLine) {
  const std::string pem = "-----BEGIN CERTIFICATE-----\n";
  ASSERT_TRUE(WriteFileAtomically(Path("a.pem"), pem).ok());
  EXPECT_EQ(*ReadPem("--tls-cert", Path("a.pem")), pem);
  ASSERT_TRUE(WriteFileAtomically(Path("a.der"), "hello").ok());
  EXPECT_EQ(ReadPem("--tls-cert", Path("a.der")).status(),
            absl::InvalidArgumentError(absl::StrCat(
                "--tls-cert: ", Path("a.der"), " is no PEM file (it has no -----BEGIN line)")));
  const absl::Status missing = ReadPem("--tls-cert", Path("b.pem")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), testing::StartsWith("--tls-cert: cannot open "));
}

TEST_F(FileTest, AFailedWriteLeavesTheOldFile) {
  std::filesystem::create_directories(Path("taken/inside"));
  const absl::Status status = WriteFileAtomically(Path("taken"), "x");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("taken")));
  EXPECT_TRUE(std::filesystem::is_directory(Path("taken")));
  EXPECT_EQ(FileCount(), 1);
  EXPECT_EQ(WriteFileAtomically(Path("none/a"), "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, ALinkStaysAndTheFileAtItsEndIsReplaced) {
  std::filesystem::create_directory(Path("other"));
  ASSERT_TRUE(WriteFileAtomically(Path("other/a"), "old").ok());
  std::filesystem::create_symlink("other/a", Path("link"));
  EXPECT_EQ(PathToReplace(Path("link")), std::filesystem::canonical(Path("other/a")));
  ASSERT_TRUE(WriteFileAtomically(Path("link"), "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(*ReadFile(Path("other/a"), 100), "new");
}

TEST_F(FileTest, ALinkToNothingYetStaysToo) {
  std::filesystem::create_directory(Path("other"));
  std::filesystem::create_symlink("other/a", Path("second"));
  std::filesystem::create_symlink(Path("second"), Path("first"));
  ASSERT_TRUE(WriteFileAtomically(Path("first"), "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("first")));
  EXPECT_EQ(*ReadFile(Path("other/a"), 100), "new");
  std::filesystem::create_symlink("loop", Path("loop"));
  EXPECT_EQ(PathToReplace(Path("loop")), Path("loop"));
}

TEST_F(FileTest, APipeIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("pipe"), 10).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, APipeIsWrittenInto) {
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

TEST_F(FileTest, AnOpenFileIsWrittenOn) {
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

TEST_F(FileTest, AReaderSeesOldOrNewNeverHalf) {
  const std::string old_content(100000, 'o');
  const std::string new_content(150000, 'n');
  ASSERT_TRUE(WriteFileAtomically(Path("a"), old_content).ok());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(WriteFileAtomically(Path("a"), i % 2 == 0 ? new_content : old_content).ok());
    }
    done = true;
  });
  do {
    const std::string seen = ReadFile(Path("a"), 1 << 20).value();
    ASSERT_TRUE(seen == old_content || seen == new_content) << seen.size();
  } while (!done);
  writer.join();
}

TEST_F(FileTest, ChecksThatAPlaceIsWritable) {
  EXPECT_TRUE(CheckWritable(Path("new")).ok());
  EXPECT_EQ(FileCount(), 0);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "x").ok());
  EXPECT_TRUE(CheckWritable(Path("a")).ok());
  EXPECT_EQ(*ReadFile(Path("a"), 10), "x");
  EXPECT_EQ(CheckWritable(Path("none/a")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckWritable(folder_).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, MakesFoldersWithTheirParents) {
  EXPECT_TRUE(MakeDirectories(Path("x/y/z")).ok());
  EXPECT_TRUE(MakeDirectories(Path("x/y/z")).ok());
  EXPECT_TRUE(std::filesystem::is_directory(Path("x/y/z")));
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "x").ok());
  const absl::Status status = MakeDirectories(Path("a/b"));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("a/b")));
}

}  // namespace
}  // namespace cytopress
