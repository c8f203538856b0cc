#include "core/dataset/zip.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/dataset/npz_builder.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Reads the first member of an archive to its end.
absl::StatusOr<std::string> ReadFirst(absl::string_view zip) {
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("a.zip");
  WriteZip(zip, path);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(path);
  if (!archive.ok()) return archive.status();
  const ZipMember& member = archive->members().at(0);
  absl::StatusOr<std::unique_ptr<ZipMemberReader>> reader = archive->OpenMember(member);
  if (!reader.ok()) return reader.status();
  std::string content(member.bytes, '\0');
  if (absl::Status status = (*reader)->Read(member.bytes, content.data()); !status.ok()) {
    return status;
  }
  if (absl::Status status = (*reader)->Finish(); !status.ok()) return status;
  return content;
}

// Text that compresses, but not to nothing.
std::string SomeContent() {
  std::string content;
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&content, i * i % 7919, ",");
  return content;
}

TEST(ZipTest, ReadsStoredAndDeflatedWithAndWithoutZip64) {
  for (const bool deflate : {false, true}) {
    for (const bool zip64 : {false, true}) {
      ZipEntry entry;
      entry.name = "a";
      entry.content = SomeContent();
      entry.deflate = deflate;
      entry.zip64 = zip64;
      const absl::StatusOr<std::string> content = ReadFirst(BuildZip({entry}));
      ASSERT_TRUE(content.ok()) << content.status();
      EXPECT_EQ(*content, entry.content);
    }
  }
}

TEST(ZipTest, ReadsInPieces) {
  ZipEntry entry;
  entry.name = "a";
  entry.content = SomeContent();
  entry.deflate = true;
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("a.zip");
  WriteZip(BuildZip({entry}), path);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(path);
  ASSERT_TRUE(archive.ok());
  const auto reader = archive->OpenMember(archive->members()[0]);
  ASSERT_TRUE(reader.ok());
  std::string content(entry.content.size(), '\0');
  for (size_t at = 0; at < content.size(); at += 777) {
    const size_t count = std::min<size_t>(777, content.size() - at);
    ASSERT_TRUE((*reader)->Read(count, &content[at]).ok());
  }
  EXPECT_TRUE((*reader)->Finish().ok());
  EXPECT_EQ(content, entry.content);
  char beyond;
  EXPECT_THAT((*reader)->Read(1, &beyond).message(), HasSubstr("ends after"));
}

TEST(ZipTest, ReadsMembersByTurns) {
  std::vector<ZipEntry> entries(2);
  entries[0].name = "a";
  entries[0].content = SomeContent();
  entries[1].name = "b";
  entries[1].content.assign(entries[0].content.rbegin(), entries[0].content.rend());
  entries[1].deflate = true;
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("ab.zip");
  WriteZip(BuildZip(entries), path);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(path);
  ASSERT_TRUE(archive.ok());
  const auto first = archive->OpenMember(archive->members()[0]);
  const auto second = archive->OpenMember(archive->members()[1]);
  ASSERT_TRUE(first.ok() && second.ok());
  const size_t size = entries[0].content.size();
  std::string a(size, '\0'), b(size, '\0');
  for (size_t at = 0; at < size; at += 777) {
    const size_t count = std::min<size_t>(777, size - at);
    ASSERT_TRUE((*first)->Read(count, &a[at]).ok());
    ASSERT_TRUE((*second)->Read(count, &b[at]).ok());
  }
  EXPECT_TRUE((*first)->Finish().ok());
  EXPECT_TRUE((*second)->Finish().ok());
  EXPECT_EQ(a, entries[0].content);
  EXPECT_EQ(b, entries[1].content);
}

TEST(ZipTest, FinishWantsAllBytesRead) {
  ZipEntry entry;
  entry.name = "a";
  entry.content = "0123456789";
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("a.zip");
  WriteZip(BuildZip({entry}), path);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(path);
  ASSERT_TRUE(archive.ok());
  const auto reader = archive->OpenMember(archive->members()[0]);
  ASSERT_TRUE(reader.ok());
  char some[4];
  ASSERT_TRUE((*reader)->Read(4, some).ok());
  EXPECT_THAT((*reader)->Finish().message(), HasSubstr("only 4 belong"));
}

TEST(ZipTest, FindsTheDirectoryBeforeAComment) {
  ZipEntry entry;
  entry.name = "a";
  entry.content = "abc";
  std::string zip = BuildZip({entry});
  zip[zip.size() - 2] = 5;
  absl::StrAppend(&zip, "hello");
  const absl::StatusOr<std::string> content = ReadFirst(zip);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(*content, "abc");
}

TEST(ZipTest, EveryTruncationIsAnError) {
  ZipEntry entry;
  entry.name = "a";
  entry.content = "some content, some more content";
  entry.deflate = true;
  const std::string zip = BuildZip({entry});
  for (size_t size = 0; size < zip.size(); ++size) {
    ASSERT_EQ(ReadFirst(zip.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument)
        << size;
  }
}

struct LyingCase {
  const char* what;  // expected in the message
  ZipEntry entry;
};

ZipEntry Lying(void (*spoil)(ZipEntry*)) {
  ZipEntry entry;
  entry.name = "a.npy";
  entry.content = SomeContent();
  entry.deflate = true;
  spoil(&entry);
  return entry;
}

TEST(ZipTest, SaysInWhatAnArchiveLies) {
  const LyingCase cases[] = {
      {"CRC error", Lying([](ZipEntry* e) { e->declared_crc32 = 123; })},
      {"more than its declared",
       Lying([](ZipEntry* e) { e->declared_bytes = e->content.size() - 1; })},
      {"end before its declared size",
       Lying([](ZipEntry* e) { e->declared_bytes = e->content.size() + 1; })},
      {"cannot give", Lying([](ZipEntry* e) { e->declared_bytes = uint64_t{1} << 31; })},
      {"cannot give", Lying([](ZipEntry* e) {
         e->zip64 = true;
         e->declared_bytes = uint64_t{1} << 50;
       })},
      {"cannot give", Lying([](ZipEntry* e) {
         e->zip64 = true;
         e->declared_bytes = ~uint64_t{0};
       })},
      // Together with the offset it is 0 again.
      {"more than the archive has", Lying([](ZipEntry* e) {
         e->zip64 = true;
         e->declared_compressed_bytes = ~uint64_t{0};
       })},
      {"sizes differ", Lying([](ZipEntry* e) {
         e->deflate = false;
         e->declared_bytes = 5;
       })},
      {"encrypted", Lying([](ZipEntry* e) { e->flags = 1; })},
      {"method 12", Lying([](ZipEntry* e) { e->declared_method = 12; })},
      {"Zlib error", Lying([](ZipEntry* e) {
         e->deflate = false;
         e->declared_method = 8;
         e->content = "\xff\xff\xff\xff";
       })},
  };
  for (const LyingCase& c : cases) {
    const absl::Status status = ReadFirst(BuildZip({c.entry})).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(c.what), HasSubstr("a.zip: "))) << c.what;
    EXPECT_THAT(status.message(), HasSubstr("a.npy"));
  }
}

TEST(ZipTest, SaysWhenTheDirectoryLies) {
  for (const ZipEntry& entry :
       {Lying([](ZipEntry* e) { e->local_name = "b.npy"; }),
        Lying([](ZipEntry* e) { e->declared_compressed_bytes = 1 << 30; })}) {
    const absl::Status status = ReadFirst(BuildZip({entry})).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("a.zip: not a ZIP archive, or a damaged"));
  }
}

TEST(ZipTest, RefusesTwoMembersOfOneName) {
  ZipEntry entry;
  entry.name = "same";
  EXPECT_THAT(ReadFirst(BuildZip({entry, entry})).status().message(), HasSubstr("occurs twice"));
}

TEST(ZipTest, RefusesTooManyMembers) {
  std::vector<ZipEntry> entries(5000);
  for (size_t i = 0; i < entries.size(); ++i) entries[i].name = absl::StrCat(i);
  EXPECT_THAT(ReadFirst(BuildZip(entries)).status().message(), HasSubstr("5000 members"));
}

TEST(ZipTest, SaysThatSomethingIsNoArchive) {
  EXPECT_THAT(ReadFirst("").status().message(), HasSubstr("not a ZIP archive"));
  EXPECT_THAT(ReadFirst(std::string(1000, 'x')).status().message(), HasSubstr("not a ZIP archive"));
}

// libzip would take memory for all 150000, of 7 MB.
TEST(ZipTest, RefusesALargeDirectoryBeforeItIsRead) {
  std::vector<ZipEntry> entries(150000);
  for (size_t i = 0; i < entries.size(); ++i) entries[i].name = absl::StrCat(i);
  EXPECT_THAT(ReadFirst(BuildZip(entries)).status().message(),
              HasSubstr("a.zip: its directory has more than 4194304 bytes"));
}

// libzip would read the directory once for each of them.
TEST(ZipTest, RefusesManyEnds) {
  ZipEntry entry;
  entry.name = "a";
  const std::string zip = BuildZip({entry});
  const std::string end = zip.substr(zip.size() - 22);
  const std::string twice = zip.substr(0, zip.size() - 2) + std::string("\x16\0", 2) + end;
  EXPECT_TRUE(ReadFirst(twice).ok()) << ReadFirst(twice).status();
  std::string many = zip;
  for (int i = 0; i < 100; ++i) many += end;
  EXPECT_THAT(ReadFirst(many).status().message(), HasSubstr("several ends"));
}

TEST(ZipTest, AFileThatShrinksWhileItIsReadIsAnError) {
  ZipEntry entry;
  entry.name = "a.npy";
  entry.content = SomeContent();
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("a.zip");
  WriteZip(BuildZip({entry}), path);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(path);
  ASSERT_TRUE(archive.ok());
  const auto reader = archive->OpenMember(archive->members()[0]);
  ASSERT_TRUE(reader.ok());
  std::filesystem::resize_file(path, 100);
  std::string content(entry.content.size(), '\0');
  const absl::Status status = (*reader)->Read(content.size(), content.data());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("member 'a.npy' is damaged"));
}

TEST(ZipTest, OpensRegularFilesOnly) {
  EXPECT_EQ(ZipArchive::Open(testing::TempDir()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ZipArchive::Open("/none/such").status().code(), absl::StatusCode::kNotFound);
  const TemporaryFolder temporary;
  const std::string pipe = temporary.PathOf("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(ZipArchive::Open(pipe).status().message(), HasSubstr("is not a regular file"));
}

}  // namespace
}  // namespace cytopress
