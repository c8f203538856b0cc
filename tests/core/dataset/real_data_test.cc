// Checks against a real data set in BloodMNIST's format, named by CYTOPRESS_DATASET, and
// photographs of its test split in the folder `photos` beside that file.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/dataset/dataset.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

class RealDataTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const path = std::getenv("CYTOPRESS_DATASET");
    if (path == nullptr) GTEST_SKIP() << "CYTOPRESS_DATASET names no .npz file";
    path_ = path;
    if (path_.extension() != ".npz") GTEST_SKIP() << path_ << " is no .npz file";
  }

  fs::path path_;
};

// Mean absolute difference between an image and the nearest of a split.
double NearestDifference(const std::vector<uint8_t>& pixels, const Dataset& dataset,
                         const Split& split) {
  const int64_t bytes = dataset.image_bytes();
  int64_t least = bytes * 255;
  for (int64_t i = 0; i < split.size(); ++i) {
    const uint8_t* const other = &split.pixels[i * bytes];
    int64_t sum = 0;
    for (int64_t p = 0; p < bytes; ++p) sum += std::abs(pixels[p] - other[p]);
    least = std::min(least, sum);
  }
  return static_cast<double>(least) / bytes;
}

TEST_F(RealDataTest, LoadsBloodMnist) {
  const absl::StatusOr<Dataset> dataset = LoadDataset(path_.string());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  ASSERT_EQ(dataset->classes(), 8);
  EXPECT_EQ(dataset->class_names[3], "immature granulocyte");
  EXPECT_EQ(dataset->channels, 3);
  EXPECT_EQ(static_cast<int64_t>(dataset->train.pixels.size()), 11959 * dataset->image_bytes());
  EXPECT_EQ(dataset->val.size(), 1712);
  EXPECT_EQ(dataset->test.size(), 3421);
  EXPECT_EQ(dataset->preprocessing.center_crop, 200);
  EXPECT_EQ(dataset->preprocessing.jpeg_quality, 75);
  EXPECT_THAT(ClassCounts(dataset->train, 8),
              testing::ElementsAre(852, 2181, 1085, 2026, 849, 993, 2330, 1643));
}

// A photograph from a microscope becomes the very image that the data set holds of it.
TEST_F(RealDataTest, PreprocessingReproducesTheDataSetFromItsPhotographs) {
  const fs::path photos = path_.parent_path() / "photos";
  if (!fs::is_directory(photos)) GTEST_SKIP() << photos << " is no folder";
  const absl::StatusOr<Dataset> dataset = LoadDataset(path_.string());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(photos)) {
    if (entry.path().extension() == ".jpg") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_GT(files.size(), 20u);
  double sum = 0, worst = 0;
  int exact = 0, checked = 0;
  const size_t step = std::max<size_t>(1, files.size() / 40);
  for (size_t i = 0; i < files.size(); i += step) {
    const absl::StatusOr<std::string> bytes = ReadFile(files[i].string(), 1 << 24);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const absl::StatusOr<Image> photo = DecodeImage(*bytes);
    ASSERT_TRUE(photo.ok()) << files[i] << photo.status();
    const absl::StatusOr<Image> small = Preprocess(*photo, dataset->preprocessing);
    ASSERT_TRUE(small.ok()) << files[i] << small.status();
    const double difference = NearestDifference(small->pixels, *dataset, dataset->test);
    sum += difference;
    worst = std::max(worst, difference);
    exact += difference == 0;
    ++checked;
  }
  std::printf("%d photographs: %d exact, mean difference %.4f, largest %.4f of 255\n", checked,
              exact, sum / checked, worst);
  EXPECT_LT(sum / checked, 0.05);
  EXPECT_LT(worst, 0.5);
}

}  // namespace
}  // namespace cytopress
