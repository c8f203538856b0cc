#include "tests/bench/load/images.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxImageBytes = int64_t{64} << 20;
constexpr size_t kMaxImages = 1000;

absl::StatusOr<std::vector<std::string>> DrawnCells() {
  CYTOPRESS_ASSIGN_OR_RETURN(const Dataset dataset, LoadDataset("synthetic:200"));
  std::vector<std::string> images;
  for (int64_t i = 0; i < dataset.train.size(); ++i) {
    const auto begin = dataset.train.pixels.begin() + i * dataset.image_bytes();
    const Image image{
        dataset.width, dataset.height, dataset.channels, {begin, begin + dataset.image_bytes()}};
    CYTOPRESS_ASSIGN_OR_RETURN(std::string png, EncodePng(image));
    images.push_back(std::move(png));
  }
  return images;
}

absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string extension = absl::AsciiStrToLower(it->path().extension().string());
    if (extension == ".png" || extension == ".jpg" || extension == ".jpeg") {
      paths.push_back(it->path().string());
    }
  }
  if (paths.empty()) {
    return absl::NotFoundError(absl::StrCat("no .png, .jpg or .jpeg in ", folder));
  }
  std::sort(paths.begin(), paths.end());
  paths.resize(std::min(paths.size(), kMaxImages));
  std::vector<std::string> images;
  for (const std::string& path : paths) {
    CYTOPRESS_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxImageBytes));
    images.push_back(std::move(bytes));
  }
  return images;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> LoadImages(const std::string& source) {
  return source == "png28" ? DrawnCells() : FilesOf(source);
}

}  // namespace cytopress
