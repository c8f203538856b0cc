#include "core/dataset/folder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/parallel.h"
#include "core/base/status_macros.h"
#include "core/dataset/class_names.h"
#include "core/dataset/folder_listing.h"
#include "core/dataset/folder_split.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;
constexpr int kMaxImageSize = 4096;

absl::StatusOr<Image> ReadImage(const fs::path& path, const Preprocessing& preprocessing) try {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path.string(), kMaxFileBytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const Image image, DecodeImage(bytes));
  return Preprocess(image, preprocessing);
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to read the file");
}

absl::Status DecodeFile(const fs::path& path, const Preprocessing& preprocessing, uint8_t* out) {
  const absl::StatusOr<Image> image = ReadImage(path, preprocessing);
  if (!image.ok()) {
    return absl::Status(image.status().code(),
                        absl::StrCat(path.string(), ": ", image.status().message()));
  }
  std::memcpy(out, image->pixels.data(), image->pixels.size());
  return absl::OkStatus();
}

// The pixels of all files, one after another.
absl::StatusOr<std::vector<uint8_t>> DecodeFiles(const std::vector<FolderFile>& files,
                                                 const DatasetOptions& options, int64_t image_bytes,
                                                 Problems* problems) {
  const Preprocessing& preprocessing = options.folder_preprocessing;
  std::vector<uint8_t> pixels(files.size() * image_bytes);
  std::vector<absl::Status> statuses(files.size());
  std::atomic<size_t> next{0};
  std::atomic<bool> stopped{false};
  const std::thread::id caller = std::this_thread::get_id();
  const auto work = [&] {
    for (size_t i = next++; i < files.size() && !stopped; i = next++) {
      if (std::this_thread::get_id() == caller && options.should_stop()) stopped = true;
      statuses[i] = DecodeFile(files[i].path, preprocessing, &pixels[i * image_bytes]);
    }
  };
  RunOnAllCores(work);
  if (stopped) return LoadingStopped();
  for (absl::Status& status : statuses) problems->Add(std::move(status));
  return pixels;
}

absl::StatusOr<Dataset> EmptyDataset(const fs::path& path, const FolderListing& listing,
                                     const DatasetOptions& options) {
  const Preprocessing& wanted = options.folder_preprocessing;
  const auto [least, most] = std::minmax(wanted.width, wanted.height);
  if (least < 1 || most > kMaxImageSize || (wanted.channels != 1 && wanted.channels != 3)) {
    return absl::InvalidArgumentError(
        absl::StrCat("folder_preprocessing is to ", wanted.width, " x ", wanted.height,
                     " pixels of ", wanted.channels, " channels; needed are 1 to ", kMaxImageSize,
                     " pixels a side and 1 or 3 "
                     "channels"));
  }
  Dataset dataset;
  dataset.name = path.filename().string();
  dataset.class_names = listing.class_names;
  dataset.preprocessing = wanted;
  dataset.width = wanted.width;
  dataset.height = wanted.height;
  dataset.channels = wanted.channels;
  const int64_t count = static_cast<int64_t>(listing.files.size());
  if (count > options.max_bytes / dataset.image_bytes()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        path.string(), ": ", count, " images of ", dataset.image_bytes(), " bytes are over the ",
        "limit of ", options.max_bytes, "; a smaller data set may help"));
  }
  return dataset;
}

// Fills the splits. The training images, of which there are most, stay in `pixels`, moved together:
// a data set may take half of a machine's memory.
void FillSplits(const FolderListing& listing, std::vector<uint8_t> pixels, Dataset* dataset) {
  const int64_t image_bytes = dataset->image_bytes();
  std::array<int64_t, kFolderSplits> counts = {};
  for (const FolderFile& file : listing.files) ++counts[file.split];
  const auto splits = dataset->splits();
  for (int split = 0; split < kFolderSplits; ++split) {
    splits[split]->labels.reserve(counts[split]);
    if (split != 0) splits[split]->pixels.reserve(counts[split] * image_bytes);
  }
  uint8_t* train_end = pixels.data();
  const uint8_t* image = pixels.data();
  for (const FolderFile& file : listing.files) {
    Split* const split = splits[file.split];
    split->labels.push_back(file.label);
    if (file.split == 0) {
      std::memmove(train_end, image, image_bytes);
      train_end += image_bytes;
    } else {
      split->pixels.insert(split->pixels.end(), image, image + image_bytes);
    }
    image += image_bytes;
  }
  pixels.resize(counts[0] * image_bytes);
  dataset->train.pixels = std::move(pixels);
}

}  // namespace

absl::StatusOr<Dataset> LoadFolder(const std::string& uri, const DatasetOptions& options) {
  std::error_code error;
  const fs::path path = fs::canonical(uri, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot open ", uri));
  Problems problems;
  CYTOPRESS_ASSIGN_OR_RETURN(FolderListing listing, ListFolder(path, &problems));
  CYTOPRESS_ASSIGN_OR_RETURN(Dataset dataset, EmptyDataset(path, listing, options));
  const int64_t image_bytes = dataset.image_bytes();
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<uint8_t> pixels,
                             DecodeFiles(listing.files, options, image_bytes, &problems));
  CYTOPRESS_RETURN_IF_ERROR(problems.Summary());
  SplitFolder(path, pixels, image_bytes, options.seed, &listing, &problems);
  CYTOPRESS_RETURN_IF_ERROR(problems.Summary());
  FillSplits(listing, std::move(pixels), &dataset);
  CYTOPRESS_RETURN_IF_ERROR(SetClassNames(
      path.string(), static_cast<int>(listing.class_names.size()), options, &dataset));
  return dataset;
}

}  // namespace cytopress
