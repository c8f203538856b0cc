#include "core/dataset/npz.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/dataset/npz_builder.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<Dataset> Load(const std::vector<ZipEntry>& entries,
                             const DatasetOptions& options = {}) {
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("cells.npz");
  WriteZip(BuildZip(entries), path);
  return LoadNpz(path, options);
}

// Written by numpy.savez_compressed of NumPy 1.24: two images of 2 x 2 RGB, bytes 0, 5, 10, ...,
// and labels 1, 0 in each split.
constexpr char kWrittenByNumpy[] =
    "504b030414000000080000002100ce981100600000009800000010001400747261696e5f696d616765732e6e"
    "707901001000980000000000000060000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e"
    "536aa8aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0a1064aca9a350"
    "ab4006e06260e5e217919453d6d03532b77174f30e088d8a4fc9cc2b0600504b030414000000080000002100"
    "5416ae8b480000008200000010001400747261696e5f6c6162656c732e6e7079010010008200000000000000"
    "48000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f5452949817"
    "9f5f94920a12774bcc294e058a17672416a402f91a463a0a869a3a0ab50a64032e460600504b030414000000"
    "080000002100ce98110060000000980000000e00140076616c5f696d616765732e6e70790100100098000000"
    "0000000060000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54"
    "529498179f5f94920a12774bcc294e058a17672416a402f91a463a0a1064aca9a350ab4006e06260e5e21791"
    "9453d6d03532b77174f30e088d8a4fc9cc2b0600504b0304140000000800000021005416ae8b480000008200"
    "00000e00140076616c5f6c6162656c732e6e707901001000820000000000000048000000000000009bec17ea"
    "1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc294e05"
    "8a17672416a402f91a463a0a869a3a0ab50a64032e460600504b030414000000080000002100ce9811006000"
    "0000980000000f001400746573745f696d616765732e6e707901001000980000000000000060000000000000"
    "009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a1277"
    "4bcc294e058a17672416a402f91a463a0a1064aca9a350ab4006e06260e5e217919453d6d03532b77174f30e"
    "088d8a4fc9cc2b0600504b0304140000000800000021005416ae8b48000000820000000f001400746573745f"
    "6c6162656c732e6e707901001000820000000000000048000000000000009bec17ea1b10c9c850c650ad9e92"
    "5a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a46"
    "3a0a869a3a0ab50a64032e460600504b0102140314000000080000002100ce98110060000000980000001000"
    "00000000000000000000800100000000747261696e5f696d616765732e6e7079504b01021403140000000800"
    "000021005416ae8b48000000820000001000000000000000000000008001a2000000747261696e5f6c616265"
    "6c732e6e7079504b0102140314000000080000002100ce98110060000000980000000e000000000000000000"
    "000080012c01000076616c5f696d616765732e6e7079504b01021403140000000800000021005416ae8b4800"
    "0000820000000e00000000000000000000008001cc01000076616c5f6c6162656c732e6e7079504b01021403"
    "14000000080000002100ce98110060000000980000000f000000000000000000000080015402000074657374"
    "5f696d616765732e6e7079504b01021403140000000800000021005416ae8b48000000820000000f00000000"
    "000000000000008001f5020000746573745f6c6162656c732e6e7079504b050600000000060006006e010000"
    "7e0300000000";

TEST(NpzTest, ReadsWhatNumpyWrites) {
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("cells.npz");
  WriteZip(absl::HexStringToBytes(kWrittenByNumpy), path);
  const absl::StatusOr<Dataset> dataset = LoadNpz(path, {});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->name, "cells");
  EXPECT_EQ(dataset->width, 2);
  EXPECT_EQ(dataset->channels, 3);
  for (const Split* split : {&dataset->train, &dataset->val, &dataset->test}) {
    EXPECT_THAT(split->labels, ElementsAre(1, 0));
    ASSERT_EQ(split->pixels.size(), 24u);
    for (int i = 0; i < 24; ++i) EXPECT_EQ(split->pixels[i], 5 * i);
  }
}

TEST(NpzTest, ReadsStoredDeflatedZip64AndBothNpyVersions) {
  for (const bool deflate : {false, true}) {
    for (const bool zip64 : {false, true}) {
      for (const int version : {1, 2}) {
        std::vector<ZipEntry> entries = ValidMembers();
        FindEntry("val_labels.npy", &entries)->content =
            BuildNpy("|u1", "(4, 1)", absl::string_view("\1\1\0\0", 4), version);
        for (ZipEntry& entry : entries) {
          entry.deflate = deflate;
          entry.zip64 = zip64;
        }
        const absl::StatusOr<Dataset> dataset = Load(entries);
        ASSERT_TRUE(dataset.ok()) << dataset.status();
        EXPECT_THAT(dataset->val.labels, ElementsAre(1, 1, 0, 0));
        EXPECT_EQ(dataset->val.pixels[0], 80);
        EXPECT_EQ(dataset->test.pixels[47], 207);
      }
    }
  }
}

TEST(NpzTest, NamesClassesByNumberUnlessTold) {
  const absl::StatusOr<Dataset> dataset = Load(ValidMembers());
  ASSERT_TRUE(dataset.ok());
  EXPECT_THAT(dataset->class_names, ElementsAre("class 0", "class 1"));
  DatasetOptions options;
  options.class_names = {"red", "white"};
  const absl::StatusOr<Dataset> named = Load(ValidMembers(), options);
  ASSERT_TRUE(named.ok());
  EXPECT_THAT(named->class_names, ElementsAre("red", "white"));
}

TEST(NpzTest, PreprocessingOfAnUnknownDataSetOnlyScales) {
  const absl::StatusOr<Dataset> dataset = Load(ValidMembers());
  ASSERT_TRUE(dataset.ok());
  EXPECT_EQ(dataset->preprocessing.width, 2);
  EXPECT_EQ(dataset->preprocessing.height, 2);
  EXPECT_EQ(dataset->preprocessing.center_crop, 0);
  EXPECT_EQ(dataset->preprocessing.jpeg_quality, 0);
}

// As many images of one row of pixels as BloodMNIST has, of `classes` classes.
std::vector<ZipEntry> MembersOfBloodMnistsSizes(int classes, int width = 1) {
  std::vector<ZipEntry> entries;
  for (const auto& [split, images] :
       std::vector<std::pair<std::string, int>>{{"train", 11959}, {"val", 1712}, {"test", 3421}}) {
    std::string labels;
    for (int i = 0; i < images; ++i) labels.push_back(static_cast<char>(i % classes));
    ZipEntry entry;
    entry.deflate = true;
    entry.name = absl::StrCat(split, "_images.npy");
    entry.content = BuildNpy("|u1", absl::StrCat("(", images, ", 1, ", width, ", 3)"),
                             std::string(3 * images * width, 'x'));
    entries.push_back(entry);
    entry.name = absl::StrCat(split, "_labels.npy");
    entry.content = BuildNpy("|u1", absl::StrCat("(", images, ", 1)"), labels);
    entries.push_back(entry);
  }
  return entries;
}

TEST(NpzTest, RecognisesBloodMnist) {
  const absl::StatusOr<Dataset> dataset = Load(MembersOfBloodMnistsSizes(8));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names,
              ElementsAre("basophil", "eosinophil", "erythroblast", "immature granulocyte",
                          "lymphocyte", "monocyte", "neutrophil", "platelet"));
  EXPECT_EQ(dataset->preprocessing.center_crop, 200);
  EXPECT_EQ(dataset->preprocessing.jpeg_quality, 75);
  const absl::StatusOr<Dataset> other = Load(MembersOfBloodMnistsSizes(7));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->class_names[0], "class 0");
  EXPECT_EQ(other->preprocessing.center_crop, 0);
}

// A square from a photograph's centre would be distorted to their shape.
TEST(NpzTest, TakesNoOblongImagesForBloodMnist) {
  const absl::StatusOr<Dataset> dataset = Load(MembersOfBloodMnistsSizes(8, /*width=*/2));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->class_names[0], "class 0");
  EXPECT_EQ(dataset->preprocessing.center_crop, 0);
  EXPECT_EQ(dataset->preprocessing.jpeg_quality, 0);
}

TEST(NpzTest, ReadsGrayImages) {
  for (const char* shape : {"(4, 3, 2)", "(4, 3, 2, 1)"}) {
    std::vector<ZipEntry> entries = ValidMembers();
    for (const char* split : {"train", "val", "test"}) {
      FindEntry(absl::StrCat(split, "_images.npy"), &entries)->content =
          BuildNpy("|u1", shape, "abcdefghijklmnopqrstuvwx");
    }
    const absl::StatusOr<Dataset> dataset = Load(entries);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ(dataset->channels, 1) << shape;
    EXPECT_EQ(dataset->height, 3) << shape;
    EXPECT_EQ(dataset->width, 2) << shape;
    EXPECT_EQ(dataset->train.pixels.size(), 24u) << shape;
    EXPECT_EQ(dataset->preprocessing.channels, 1) << shape;
    EXPECT_THAT(dataset->preprocessing.mean, ElementsAre(0.5f)) << shape;
  }
}

TEST(NpzTest, ReadsLabelsOfEveryIntegerType) {
  for (const auto& [dtype, bytes] : std::vector<std::pair<std::string, int>>{
           {"|i1", 1}, {"<u2", 2}, {"<i2", 2}, {"<u4", 4}, {"<i4", 4}, {"<u8", 8}, {"<i8", 8}}) {
    std::string data;
    for (const char label : {0, 1, 1, 0}) {
      data.push_back(label);
      data.append(bytes - 1, '\0');
    }
    std::vector<ZipEntry> entries = ValidMembers();
    FindEntry("train_labels.npy", &entries)->content = BuildNpy(dtype, "(4,)", data);
    const absl::StatusOr<Dataset> dataset = Load(entries);
    ASSERT_TRUE(dataset.ok()) << dtype << ": " << dataset.status();
    EXPECT_THAT(dataset->train.labels, ElementsAre(0, 1, 1, 0)) << dtype;
  }
}

struct SpoiltMember {
  const char* member;
  std::string content;
  const char* found;   // expected in the message
  const char* needed;  // too
};

TEST(NpzTest, ErrorsNameTheMemberWhatWasFoundAndWhatIsNeeded) {
  const std::string pixels(48, 'x');
  const absl::string_view labels("\0\1\0\1", 4);
  const std::string words("\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16);
  const SpoiltMember cases[] = {
      {"train_images", BuildNpy("<f4", "(4, 2, 2, 3)", pixels), "'<f4'", "'|u1' (uint8)"},
      {"train_images", BuildNpy("|i1", "(4, 2, 2, 3)", pixels), "'|i1'", "uint8"},
      {"val_images", BuildNpy("|O", "(4, 2, 2, 3)", pixels), "'|O'", "uint8"},
      {"val_images", BuildNpy("[('a', '|u1')]", "(4,)", pixels), "structure", "plain numbers"},
      {"val_images", BuildNpy("|u1", "(4, 2, 2, 3)", pixels, 1, true), "Fortran", "C order"},
      {"val_images", BuildNpy("|u1", "(4, 2, 2, 3)", pixels, 3), "version 3.0", "1.0 and 2.0"},
      {"val_images", BuildNpy("|u1", "(4, 3, 2, 2)", pixels), "(4, 3, 2, 2)",
       "(N, height, width, 3)"},
      {"val_images", BuildNpy("|u1", "(16, 1, 1, 3)", pixels), "(16, 1, 1, 3)", "2 x 2 x 3"},
      {"val_images", BuildNpy("|u1", "(0, 2, 2, 3)", ""), "no images", "at least one"},
      {"val_images", BuildNpy("|u1", "(5, 2, 2, 3)", pixels), "(5, 2, 2, 3)", "does not fit"},
      {"val_images", BuildNpy("|u1", "(3, 2, 2, 3)", pixels), "(3, 2, 2, 3)", "48 bytes"},
      {"val_images", BuildNpy("|u1", "(4611686018427387904, 4611686018427387904, 4, 3)", pixels),
       "4611686018427387904", "does not fit"},
      {"val_images", BuildNpy("|u1", "(-4, 2, 2, 3)", pixels), "malformed", "-4"},
      {"val_images", "PK not an array", "\\x93NUMPY", "not a .npy"},
      {"val_images", "", "ends after 0 bytes", "needed"},
      {"train_labels", BuildNpy("<f8", "(4, 1)", std::string(32, '\0')), "'<f8'", "integer"},
      {"train_labels", BuildNpy("<i8", "(2, 1)", words), "2 labels", "4 images"},
      {"train_labels", BuildNpy("|u1", "(2, 2)", labels), "(2, 2)", "(N, 1)"},
      {"train_labels", BuildNpy("|u1", "(4, 1, 1)", labels), "(4, 1, 1)", "(N, 1)"},
      {"train_labels", BuildNpy("|u1", "()", "\1"), "()", "(N, 1)"},
      {"train_labels", BuildNpy("|i1", "(4, 1)", "\1\1\1\xff"), "label -1", "image 3"},
      {"train_labels", BuildNpy("<u2", "(4, 1)", "\1\1\1\1\1\1\xff\xff"), "label 65535", "1023"},
  };
  for (const SpoiltMember& c : cases) {
    std::vector<ZipEntry> entries = ValidMembers();
    const std::string name = absl::StrCat(c.member, ".npy");
    FindEntry(name, &entries)->content = c.content;
    const absl::Status status = Load(entries).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), AllOf(HasSubstr("cells.npz"), HasSubstr(name), HasSubstr(c.found),
                                        HasSubstr(c.needed)));
  }
}

TEST(NpzTest, ErrorsOfTheWholeDataSet) {
  std::vector<ZipEntry> entries = ValidMembers();
  FindEntry("test_labels.npy", &entries)->name = "labels.npy";
  EXPECT_THAT(Load(entries).status().message(),
              AllOf(HasSubstr("no member 'test_labels.npy'"), HasSubstr("labels.npy")));

  entries = ValidMembers();
  FindEntry("test_labels.npy", &entries)->content =
      BuildNpy("|u1", "(4,)", absl::string_view("\0\1\2\3", 4));
  EXPECT_THAT(Load(entries).status().message(),
              AllOf(HasSubstr("class 2"), HasSubstr("no training image")));

  entries = ValidMembers();
  for (const char* split : {"train", "val", "test"}) {
    FindEntry(absl::StrCat(split, "_labels.npy"), &entries)->content =
        BuildNpy("|u1", "(4,)", absl::string_view("\0\0\0\0", 4));
  }
  EXPECT_THAT(Load(entries).status().message(), HasSubstr("at least 2"));

  DatasetOptions options;
  options.class_names = {"a", "b", "c"};
  EXPECT_THAT(Load(ValidMembers(), options).status().message(),
              AllOf(HasSubstr("3 names"), HasSubstr("2 classes")));
  options.class_names = {"a", "a"};
  EXPECT_THAT(Load(ValidMembers(), options).status().message(),
              HasSubstr(": class_names[1]: \"a\" is there twice; names must differ"));
  options.class_names = {"a", ""};
  EXPECT_THAT(Load(ValidMembers(), options).status().message(),
              HasSubstr(": class_names[1]: is empty; give every class a name"));
}

TEST(NpzTest, MemoryIsBoundedByTheOptions) {
  DatasetOptions options;
  options.max_bytes = 3 * 48;
  EXPECT_TRUE(Load(ValidMembers(), options).ok());
  options.max_bytes = 3 * 48 - 1;
  const absl::Status status = Load(ValidMembers(), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("test_images"), HasSubstr("limit of 143;"),
                                      HasSubstr("use a smaller size of the set")));
}

// Pixels may take a minute to decompress.
TEST(NpzTest, ChecksWhateverItCanBeforeItReadsPixels) {
  bool read = false;
  DatasetOptions options;
  options.should_stop = [&read] {
    read = true;
    return false;
  };
  ASSERT_TRUE(Load(ValidMembers(), options).ok());
  EXPECT_TRUE(read) << "it asks whether to stop as it reads pixels";
  read = false;
  for (const auto& [member, content] : std::vector<std::pair<std::string, std::string>>{
           {"test_images", BuildNpy("<f4", "(1, 2, 2, 3)", std::string(48, 'x'))},
           {"val_images", BuildNpy("|u1", "(16, 1, 1, 3)", std::string(48, 'x'))},
           {"train_labels", BuildNpy("|u1", "(4, 14)", std::string(56, '\1'))},
           {"test_labels", BuildNpy("|u1", "(3, 1)", std::string(3, '\1'))},
           {"test_labels", BuildNpy("|i1", "(4, 1)", std::string(4, '\xff'))},
           {"test_labels", BuildNpy("|u1", "(4, 1)", std::string(4, '\2'))}}) {
    std::vector<ZipEntry> entries = ValidMembers();
    FindEntry(absl::StrCat(member, ".npy"), &entries)->content = content;
    EXPECT_EQ(Load(entries, options).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(read) << member;
  }
  std::vector<ZipEntry> entries = ValidMembers();
  entries.pop_back();
  EXPECT_EQ(Load(entries, options).status().code(), absl::StatusCode::kInvalidArgument);
  options.class_names = {"red", "white", "none"};
  EXPECT_EQ(Load(ValidMembers(), options).status().code(), absl::StatusCode::kInvalidArgument);
  options.class_names.clear();
  options.max_bytes = 3 * 48 - 1;
  EXPECT_EQ(Load(ValidMembers(), options).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(read);
}

// 67 MB of zeros, 65 KB in the archive: refused by its header, long before the zeros are there.
TEST(NpzTest, RefusesAZipBombByItsHeader) {
  std::vector<ZipEntry> entries = ValidMembers();
  ZipEntry* const images = FindEntry("train_images.npy", &entries);
  images->content = BuildNpy("|u1", "(5600000, 2, 2, 3)", std::string(5600000 * 12, '\0'));
  ZipEntry* const labels = FindEntry("train_labels.npy", &entries);
  labels->content = BuildNpy("|u1", "(5600000, 1)", std::string(5600000, '\1'));
  images->deflate = labels->deflate = true;
  DatasetOptions options;
  options.max_bytes = 1 << 20;
  EXPECT_EQ(Load(entries, options).status().code(), absl::StatusCode::kResourceExhausted);
}

// The most memory that this process has had.
int64_t PeakBytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} << 10;
}

// 800 MB of pixels, of which the archive has a few.
TEST(NpzTest, TakesNoMemoryForPixelsThatAMemberOnlySaysItHolds) {
  constexpr int64_t kImageBytes = 4096 * 4096 * 3;
  constexpr int kTrainImages = 16;
  std::vector<ZipEntry> entries = ValidMembers();
  for (const char* split : {"train", "val", "test"}) {
    const int images = split == std::string("train") ? kTrainImages : 1;
    ZipEntry* const pixels = FindEntry(absl::StrCat(split, "_images.npy"), &entries);
    const std::string shape = absl::StrCat("(", images, ", 4096, 4096, 3)");
    // Noise, for deflated bytes cannot give more than 1032 times as many.
    std::mt19937 random(images);
    std::string noise(images * kImageBytes / 500, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    pixels->content = BuildNpy("|u1", shape, noise);
    pixels->declared_bytes = BuildNpy("|u1", shape, "").size() + images * kImageBytes;
    pixels->deflate = true;
    std::string labels(images, '\0');
    labels.back() = '\1';
    FindEntry(absl::StrCat(split, "_labels.npy"), &entries)->content =
        BuildNpy("|u1", absl::StrCat("(", images, ", 1)"), labels);
  }
  const int64_t before = PeakBytes();
  const absl::Status status = Load(entries).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("member 'train_images.npy'"), HasSubstr("is damaged")));
  EXPECT_LT(PeakBytes() - before, kTrainImages * kImageBytes / 2);
}

// The end of an archive whose directory takes the `bytes` before it, all of it shortest entries.
std::string EndOfLargeDirectory(uint64_t bytes) {
  constexpr int kEntryBytes = 46;
  std::string end;
  const auto append = [&end](uint64_t value, int count) {
    for (int i = 0; i < count; ++i) end.push_back(static_cast<char>(value >> (8 * i)));
  };
  append(0x06064b50, 4);  // ZIP64's end record: its size, versions, disks
  append(44, 8);
  append(45, 2);
  append(45, 2);
  append(0, 8);
  append(bytes / kEntryBytes, 8);
  append(bytes / kEntryBytes, 8);
  append(bytes, 8);
  append(0, 8);           // where the directory begins
  append(0x07064b50, 4);  // where that record is
  append(0, 4);
  append(bytes, 8);
  append(1, 4);
  append(0x06054b50, 4);  // the end record, which has no numbers then
  append(0, 4);
  append(~uint64_t{0}, 8);
  append(~uint64_t{0}, 4);
  append(0, 2);
  return end;
}

// libzip would take 1.5 GB for the members of a file that has next to nothing on the disk.
TEST(NpzTest, TakesNoMemoryForMembersThatAnEndOnlySaysThereAre) {
  constexpr int64_t kDirectoryBytes = int64_t{2} << 30;
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("cells.npz");
  WriteZip("", path);
  std::filesystem::resize_file(path, kDirectoryBytes);
  std::ofstream(path, std::ios::binary | std::ios::app) << EndOfLargeDirectory(kDirectoryBytes);
  const int64_t before = PeakBytes();
  const absl::Status status = LoadNpz(path, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("too many members; at most 4096 members are read"));
  EXPECT_LT(PeakBytes() - before, kDirectoryBytes / 4);
}

TEST(NpzTest, AnyDamagedByteIsAnErrorOrChangesNothing) {
  std::vector<ZipEntry> entries = ValidMembers();
  for (ZipEntry& entry : entries) entry.deflate = true;
  const std::string zip = BuildZip(entries);
  const absl::StatusOr<Dataset> whole = Load(entries);
  ASSERT_TRUE(whole.ok());
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("cells.npz");
  for (size_t at = 0; at < zip.size(); ++at) {
    std::string damaged = zip;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    WriteZip(damaged, path);
    const absl::StatusOr<Dataset> dataset = LoadNpz(path, {});
    if (!dataset.ok()) continue;
    EXPECT_EQ(dataset->train.pixels, whole->train.pixels) << at;
    EXPECT_EQ(dataset->test.labels, whole->test.labels) << at;
  }
}

}  // namespace
}  // namespace cytopress
