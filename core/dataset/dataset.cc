#include "core/dataset/dataset.h"

#include <filesystem>
#include <new>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/dataset/folder.h"
#include "core/dataset/npz.h"
#include "core/dataset/synthetic.h"
#include "core/dataset/synthetic_uri.h"

namespace cytopress {
namespace {

absl::StatusOr<Dataset> Load(const std::string& uri, const DatasetOptions& options) {
  if (IsSynthetic(uri)) {
    CYTOPRESS_ASSIGN_OR_RETURN(const int64_t images, SyntheticImages(uri));
    return DrawDataset(images, options);
  }
  std::error_code error;
  if (std::filesystem::is_directory(uri, error)) return LoadFolder(uri, options);
  return LoadNpz(uri, options);
}

void UpdateNumber(int64_t number, Sha256* hash) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  hash->Update(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace

absl::StatusOr<const Split*> Dataset::split(absl::string_view split_name) const {
  if (split_name == "train") return &train;
  if (split_name == "val") return &val;
  if (split_name == "test") return &test;
  return absl::InvalidArgumentError(
      absl::StrCat("split '", split_name, "'; needed is train, val or test"));
}

std::string ContentHash(const Dataset& dataset) {
  Sha256 hash;
  for (const int64_t number :
       {dataset.height, dataset.width, dataset.channels, dataset.classes()}) {
    UpdateNumber(number, &hash);
  }
  for (const Split* split : dataset.splits()) {
    UpdateNumber(split->size(), &hash);
    hash.Update(absl::string_view(reinterpret_cast<const char*>(split->pixels.data()),
                                  split->pixels.size()));
    for (const int label : split->labels) UpdateNumber(label, &hash);
  }
  return absl::BytesToHexString(hash.Finish());
}

absl::Status LoadingStopped() {
  return absl::CancelledError("the data set was not loaded: told to stop");
}

std::vector<int64_t> ClassCounts(const Split& split, int classes) {
  std::vector<int64_t> counts(classes, 0);
  for (const int label : split.labels) ++counts[label];
  return counts;
}

absl::StatusOr<Dataset> LoadDataset(const std::string& uri, const DatasetOptions& options) try {
  CYTOPRESS_ASSIGN_OR_RETURN(Dataset dataset, Load(uri, options));
  dataset.content_hash = ContentHash(dataset);
  return dataset;
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(
      absl::StrCat(uri, ": this machine has no memory for it; a smaller data set may help"));
}

}  // namespace cytopress
