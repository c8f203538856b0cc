// Labelled images in three splits, in memory.
#ifndef CYTOPRESS_CORE_DATASET_DATASET_H_
#define CYTOPRESS_CORE_DATASET_DATASET_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/image/image.h"

namespace cytopress {

// One split. All images have one size; pixels are [size, height, width, channels] uint8.
struct Split {
  std::vector<uint8_t> pixels;
  std::vector<int> labels;  // in [0, classes)

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

inline constexpr const char* kSplitNames[] = {"train", "val", "test"};

struct Dataset {
  std::string name;                      // "pbc28", a folder's name, "synthetic"
  std::vector<std::string> class_names;  // in label order
  // How an image from outside becomes one like those in the splits.
  Preprocessing preprocessing;
  int height = 0;
  int width = 0;
  int channels = 3;
  Split train, val, test;
  std::string content_hash;  // sha256 over sizes, class count, pixels and labels, hex
  bool synthetic = false;    // drawn by the program

  int classes() const { return static_cast<int>(class_names.size()); }
  int64_t image_bytes() const { return int64_t{height} * width * channels; }
  // As kSplitNames calls them.
  std::array<const Split*, 3> splits() const { return {&train, &val, &test}; }
  std::array<Split*, 3> splits() { return {&train, &val, &test}; }
  // "train", "val" or "test"; INVALID_ARGUMENT otherwise.
  absl::StatusOr<const Split*> split(absl::string_view split_name) const;
};

// Of the sizes, the class count, and pixels and labels of every split.
std::string ContentHash(const Dataset& dataset);

// CANCELLED: DatasetOptions::should_stop said so.
absl::Status LoadingStopped();

// Images of each class.
std::vector<int64_t> ClassCounts(const Split& split, int classes);

struct DatasetOptions {
  std::vector<std::string> class_names;  // empty: the data set's own
  uint64_t seed = 0;                     // folder split, synthetic drawing
  Preprocessing folder_preprocessing;    // of a folder's images; 28 x 28 if nothing is said
  int64_t max_bytes = int64_t{8} << 30;  // of decompressed pixels; more is RESOURCE_EXHAUSTED
  // Asked again and again, on the caller's thread; true ends the loading with CANCELLED.
  std::function<bool()> should_stop = [] { return false; };
};

// `uri` is a MedMNIST-style .npz, a folder (`split/class/*` with splits train, val, test, or
// `class/*`, then split about 70/10/20 by the seed and each image's pixels) of PNG or JPEG, or
// "synthetic" or "synthetic:N" (N images in all; default 6000). A file of square images whose split
// sizes and class counts are BloodMNIST's gets BloodMNIST's class names and preprocessing (centre
// crop 200, bilinear to its size, JPEG round trip at quality 75).
// Errors name the file, the member or image, what was found and what is needed.
absl::StatusOr<Dataset> LoadDataset(const std::string& uri, const DatasetOptions& options = {});

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_DATASET_H_
