#include "core/dataset/zip.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/dataset/npz_builder.h"

namespace cytopress {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Reads the first member of an archive to its end.
absl::StatusOr<std::string> ReadFirst(const std::string& zip) {
  const std::unique_ptr<ByteSource> source = MakeMemorySource("a.zip", zip);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(*source);
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
  const std::string zip = BuildZip({entry});
  const std::unique_ptr<ByteSource> source = MakeMemorySource("a.zip", zip);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(*source);
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

TEST(ZipTest, FinishWantsAllBytesRead) {
  ZipEntry entry;
  entry.name = "a";
  entry.content = "0123456789";
  const std::string zip = BuildZip({entry});
  const std::unique_ptr<ByteSource> source = MakeMemorySource("a.zip", zip);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(*source);
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
      {"CRC-32 differs", Lying([](ZipEntry* e) { e->declared_crc32 = 123; })},
      {"more than its declared",
       Lying([](ZipEntry* e) { e->declared_bytes = e->content.size() - 1; })},
      {"end before its declared size",
       Lying([](ZipEntry* e) { e->declared_bytes = e->content.size() + 1; })},
      {"cannot give", Lying([](ZipEntry* e) { e->declared_bytes = uint64_t{1} << 31; })},
      {"cannot give", Lying([](ZipEntry* e) {
         e->zip64 = true;
         e->declared_bytes = uint64_t{1} << 50;
       })},
      {"impossible size", Lying([](ZipEntry* e) {
         e->zip64 = true;
         e->declared_bytes = ~uint64_t{0};
       })},
      {"more than the archive has",
       Lying([](ZipEntry* e) { e->declared_compressed_bytes = 1 << 30; })},
      {"sizes differ", Lying([](ZipEntry* e) {
         e->deflate = false;
         e->declared_bytes = 5;
       })},
      {"encrypted", Lying([](ZipEntry* e) { e->flags = 1; })},
      {"method 12", Lying([](ZipEntry* e) { e->declared_method = 12; })},
      {"local header", Lying([](ZipEntry* e) { e->local_name = "b.npy"; })},
      {"zlib says", Lying([](ZipEntry* e) {
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

TEST(ZipTest, RefusesTwoMembersOfOneName) {
  ZipEntry entry;
  entry.name = "same";
  EXPECT_THAT(ReadFirst(BuildZip({entry, entry})).status().message(),
              HasSubstr("'same' occurs twice"));
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

TEST(ByteSourceTest, RefusesToReadBeyondTheEnd) {
  const std::unique_ptr<ByteSource> source = MakeMemorySource("m", "12345");
  char out[8];
  EXPECT_TRUE(source->ReadAt(2, 3, out).ok());
  EXPECT_EQ(source->ReadAt(2, 4, out).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(source->ReadAt(-1, 1, out).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(OpenFileSource(testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenFileSource("/none/such").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace cytopress
