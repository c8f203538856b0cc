// Loading a folder takes the memory of its images little more than once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/dataset/folder.h"
#include "core/dataset/random.h"
#include "tests/replaced_new.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

// Above what one image takes, whose number at a time depends on the machine.
constexpr size_t kLargeBytes = 256 << 10;
std::atomic<int64_t> large_bytes{0};

}  // namespace

void* Allocate(size_t bytes) {
  if (bytes >= kLargeBytes) large_bytes += static_cast<int64_t>(bytes);
  return AllocateOf(bytes);
}

namespace {

namespace fs = std::filesystem;

std::string NoisePng(uint64_t seed) {
  Random random(seed);
  Image image{8, 8, 3, {}};
  for (int i = 0; i < 8 * 8 * 3; ++i) {
    image.pixels.push_back(static_cast<uint8_t>(random.Below(256)));
  }
  return EncodePng(image).value();
}

TEST(FolderMemoryTest, TrainingImagesAreNotCopied) {
  const TemporaryFolder temporary;
  using Part = std::pair<const char*, int>;  // images of each class
  uint64_t seed = 0;
  for (const auto& [split, images] : {Part{"train", 70}, Part{"val", 10}, Part{"test", 20}}) {
    for (const char* name : {"a", "b"}) {
      const fs::path folder = fs::path(temporary.path()) / split / name;
      fs::create_directories(folder);
      for (int i = 0; i < images; ++i) {
        std::ofstream(folder / absl::StrCat(i, ".png"), std::ios::binary) << NoisePng(++seed);
      }
    }
  }
  DatasetOptions options;
  options.folder_preprocessing.width = options.folder_preprocessing.height = 128;
  large_bytes = 0;
  const absl::StatusOr<Dataset> dataset = LoadFolder(temporary.path(), options);
  const int64_t taken = large_bytes;
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->train.size(), 140);
  EXPECT_EQ(dataset->train.pixels.size(), 140u * 128 * 128 * 3);
  const int64_t pixels = int64_t{200} * 128 * 128 * 3;
  EXPECT_GE(taken, pixels) << "they are counted";
  EXPECT_LE(taken, pixels * 14 / 10) << "val and test are copied, train is not";
}

}  // namespace
}  // namespace cytopress
