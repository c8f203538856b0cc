#include "core/dataset/dataset.h"

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/dataset/synthetic_uri.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/dataset/npz_builder.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(LoadDatasetTest, LoadsANpzFileWithAContentHash) {
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("a.npz");
  ASSERT_TRUE(WriteFileAtomically(path, BuildZip(ValidMembers())).ok());
  const absl::StatusOr<Dataset> dataset = LoadDataset(path);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->content_hash, ContentHash(*dataset));
  EXPECT_EQ(dataset->content_hash.size(), 64u);
  EXPECT_FALSE(dataset->synthetic);
}

TEST(LoadDatasetTest, DrawsASyntheticOne) {
  const absl::StatusOr<Dataset> dataset = LoadDataset("synthetic:150");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->train.size() + dataset->val.size() + dataset->test.size(), 150);
  EXPECT_EQ(LoadDataset("synthetic:-3").status().message(),
            "synthetic:-3 images; needed are 100 to 10000000");
  EXPECT_FALSE(IsSynthetic("synthetics"));
  EXPECT_THAT(LoadDataset("synthetic:many").status().message(),
              AllOf(HasSubstr("synthetic:many"), HasSubstr("synthetic:N")));
}

TEST(LoadDatasetTest, StopsWhenItIsTold) {
  const TemporaryFolder temporary;
  const std::string npz = temporary.PathOf("stop.npz");
  ASSERT_TRUE(WriteFileAtomically(npz, BuildZip(ValidMembers())).ok());
  const std::string folder = temporary.PathOf("stop");
  std::filesystem::create_directories(folder + "/round");
  const Image image{2, 2, 1, {1, 2, 3, 4}};
  ASSERT_TRUE(WriteFileAtomically(folder + "/round/1.png", *EncodePng(image)).ok());
  for (const std::string& uri : {npz, folder, std::string("synthetic:6000")}) {
    DatasetOptions options;
    options.should_stop = [] { return true; };
    EXPECT_TRUE(absl::IsCancelled(LoadDataset(uri, options).status())) << uri;
  }
}

TEST(LoadDatasetTest, LoadsAFolder) {
  const TemporaryFolder temporary;
  const std::filesystem::path root = temporary.path();
  for (int i = 0; i < 6; ++i) {
    const std::filesystem::path folder = root / (i % 2 == 0 ? "round" : "square");
    std::filesystem::create_directories(folder);
    const Image image{2, 2, 1, {static_cast<uint8_t>(i), 2, 3, 4}};
    ASSERT_TRUE(
        WriteFileAtomically((folder / absl::StrCat(i, ".png")).string(), *EncodePng(image)).ok());
  }
  DatasetOptions options;
  options.folder_preprocessing.width = options.folder_preprocessing.height = 2;
  const absl::StatusOr<Dataset> dataset = LoadDataset(root.string(), options);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names, ElementsAre("round", "square"));
  EXPECT_EQ(dataset->content_hash.size(), 64u);
}

TEST(LoadDatasetTest, SaysWhatIsNoDataSet) {
  EXPECT_EQ(LoadDataset("/no/such/file.npz").status().code(), absl::StatusCode::kNotFound);
  const TemporaryFolder temporary;
  const std::string path = temporary.PathOf("b.npz");
  ASSERT_TRUE(WriteFileAtomically(path, "hello").ok());
  EXPECT_THAT(LoadDataset(path).status().message(),
              AllOf(HasSubstr("b.npz"), HasSubstr("not a ZIP archive")));
}

TEST(DatasetTest, SplitByName) {
  Dataset dataset;
  EXPECT_EQ(*dataset.split("train"), &dataset.train);
  EXPECT_EQ(*dataset.split("val"), &dataset.val);
  EXPECT_EQ(*dataset.split("test"), &dataset.test);
  EXPECT_THAT(dataset.split("valid").status().message(), HasSubstr("'valid'"));
}

TEST(DatasetTest, ClassCountsCountsLabels) {
  Split split;
  split.labels = {2, 0, 2, 2};
  EXPECT_THAT(ClassCounts(split, 4), ElementsAre(1, 0, 3, 0));
}

TEST(DatasetTest, ContentHashSeesPixelsLabelsSizesAndClasses) {
  Dataset dataset;
  dataset.width = 2;
  dataset.height = 1;
  dataset.channels = 1;
  dataset.class_names = {"a", "b"};
  dataset.train = {{1, 2, 3, 4}, {0, 1}};
  const std::string hash = ContentHash(dataset);
  Dataset other = dataset;
  other.name = "renamed";
  other.class_names = {"x", "y"};
  EXPECT_EQ(ContentHash(other), hash);
  other = dataset;
  other.train.pixels[3] = 5;
  EXPECT_NE(ContentHash(other), hash);
  other = dataset;
  other.train.labels[1] = 0;
  EXPECT_NE(ContentHash(other), hash);
  other = dataset;
  other.width = 1;
  other.height = 2;
  EXPECT_NE(ContentHash(other), hash);
  other = dataset;
  other.class_names = {"a", "b", "c"};
  EXPECT_NE(ContentHash(other), hash);
  other = dataset;
  std::swap(other.train, other.val);
  EXPECT_NE(ContentHash(other), hash);
}

}  // namespace
}  // namespace cytopress
