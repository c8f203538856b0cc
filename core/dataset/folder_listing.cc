#include "core/dataset/folder_listing.h"

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/dataset/dataset.h"
#include "core/network/network.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostProblems = 20;

bool IsHidden(const fs::path& path) { return path.filename().string()[0] == '.'; }

// Entries of a folder that are not hidden, sorted.
absl::StatusOr<std::vector<fs::path>> SortedEntries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!IsHidden(entry->path())) entries.push_back(entry->path());
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot list the folder ", folder.string()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool IsImageName(const fs::path& path) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

// At any depth.
bool HoldsImages(const fs::path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (IsHidden(entry->path())) {
      entry.disable_recursion_pending();
    } else if (IsImageName(entry->path())) {
      return true;
    }
  }
  return false;
}

// Whether what stands in a class folder is one of its images. What only looks like some is a
// problem: they would be missing without a word.
bool IsImage(const fs::path& path, Problems* problems) {
  std::error_code error;
  if (IsImageName(path)) {
    if (fs::is_regular_file(path, error)) return true;
    problems->Add(BadPath(path, "a link to nothing, or not a file; mend or remove it"));
  } else if (IsFolder(path) && HoldsImages(path)) {
    problems->Add(
        BadPath(path,
                "images must lie directly in the class folder; move them there, or remove "
                "this folder"));
  }
  return false;
}

// Adds the images of `folder`/CLASS/* with the class names they were found under.
absl::Status ListClasses(const fs::path& folder, int split,
                         std::map<std::string, std::vector<FolderFile>>* classes,
                         Problems* problems) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, SortedEntries(folder));
  bool any = false;
  for (const fs::path& class_folder : entries) {
    if (!IsFolder(class_folder)) {
      if (IsImageName(class_folder)) {
        problems->Add(
            BadPath(class_folder, "lies beside the class folders; move it into one, or remove it"));
      }
      continue;
    }
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<fs::path> candidates, SortedEntries(class_folder));
    std::vector<FolderFile>& files = (*classes)[class_folder.filename().string()];
    const size_t before = files.size();
    for (const fs::path& path : candidates) {
      if (IsImage(path, problems)) files.push_back({path, 0, split});
    }
    if (files.size() == before) {
      problems->Add(
          BadPath(class_folder,
                  "this class folder has no image; needed are files *.png, *.jpg or *.jpeg, "
                  "or remove the folder"));
    }
    any = true;
  }
  if (!any) {
    return BadPath(folder, "no class folder found; needed are folders CLASS/ with *.png or *.jpg");
  }
  return absl::OkStatus();
}

// A folder whose only folders are called val or test has no classes of these names: it lacks its
// train.
absl::Status CheckNotOnlySplits(const fs::path& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, SortedEntries(path));
  std::string split;
  for (const fs::path& entry : entries) {
    if (!IsFolder(entry)) continue;
    split = entry.filename().string();
    if (split != kSplitNames[1] && split != kSplitNames[2]) return absl::OkStatus();
  }
  if (split.empty()) return absl::OkStatus();
  return BadPath(
      path, absl::StrCat("it has a folder ", split,
                         " but no folder train; needed are train, val and test, or class folders "
                         "only: give ",
                         (path / split).string(), " if they are in there"));
}

}  // namespace

void Problems::Add(absl::Status problem) {
  if (!problem.ok()) problems_.push_back(std::move(problem));
}

absl::Status Problems::Summary() const {
  if (problems_.empty()) return absl::OkStatus();
  if (problems_.size() == 1) return problems_[0];
  std::string text = absl::StrCat(problems_.size(), " problems");
  if (problems_.size() > kMostProblems) absl::StrAppend(&text, ", the first ", kMostProblems);
  for (size_t i = 0; i < problems_.size() && i < kMostProblems; ++i) {
    absl::StrAppend(&text, i == 0 ? ": (" : "; (", i + 1, ") ", problems_[i].message());
  }
  return absl::Status(problems_[0].code(), text);
}

absl::Status BadPath(const fs::path& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", what));
}

absl::StatusOr<FolderListing> ListFolder(const fs::path& path, Problems* problems) {
  FolderListing listing;
  listing.has_splits = IsFolder(path / kSplitNames[0]);
  std::map<std::string, std::vector<FolderFile>> classes;
  if (!listing.has_splits) {
    CYTOPRESS_RETURN_IF_ERROR(CheckNotOnlySplits(path));
    CYTOPRESS_RETURN_IF_ERROR(ListClasses(path, 0, &classes, problems));
  }
  for (int split = 0; listing.has_splits && split < kFolderSplits; ++split) {
    if (!IsFolder(path / kSplitNames[split])) {
      return BadPath(path, absl::StrCat("it has a folder train but no folder ", kSplitNames[split],
                                        "; needed are train, val and test, or class folders only"));
    }
    CYTOPRESS_RETURN_IF_ERROR(ListClasses(path / kSplitNames[split], split, &classes, problems));
  }
  if (classes.size() > kMaxClasses) {
    return BadPath(path, absl::StrCat("it has ", classes.size(), " class folders; at most ",
                                      kMaxClasses, " are supported"));
  }
  for (auto& [name, files] : classes) {
    for (FolderFile& file : files) {
      file.label = static_cast<int>(listing.class_names.size());
      listing.files.push_back(std::move(file));
    }
    listing.class_names.push_back(name);
  }
  return listing;
}

}  // namespace cytopress
