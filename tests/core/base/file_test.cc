#include "core/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/core/base/folder_fixture.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

class FileTest : public FolderTest {};

TEST_F(FileTest, WritesAndReads) {
  const std::string content("any \0 bytes\n", 12);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), content).ok());
  EXPECT_EQ(*ReadFile(Path("a"), 100), content);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "").ok());
  EXPECT_EQ(*ReadFile(Path("a"), 100), "");
  EXPECT_EQ(FileCount(), 1);  // no temporary file is left
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

TEST_F(FileTest, APipeIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("pipe"), 10).status().code(), absl::StatusCode::kInvalidArgument);
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
