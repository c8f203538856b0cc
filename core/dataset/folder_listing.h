// The images of a data set that is a folder, as they stand in the file system.
#ifndef CYTOPRESS_CORE_DATASET_FOLDER_LISTING_H_
#define CYTOPRESS_CORE_DATASET_FOLDER_LISTING_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

inline constexpr int kFolderSplits = 3;

struct FolderFile {
  std::filesystem::path path;
  int label = 0;
  int split = 0;  // index in kSplitNames
};

struct FolderListing {
  std::vector<std::string> class_names;
  std::vector<FolderFile> files;
  bool has_splits = false;  // without: every file is of split 0, until SplitFolder
};

// What is wrong with the files of a data set, so that whoever mends one learns of the others.
class Problems {
 public:
  void Add(absl::Status problem);

  // OK; the only problem; or the first ones, with the code of the first.
  absl::Status Summary() const;

 private:
  std::vector<absl::Status> problems_;
};

// INVALID_ARGUMENT "PATH: WHAT".
absl::Status BadPath(const std::filesystem::path& path, absl::string_view what);

// The files of one of the two layouts of LoadFolder (folder.h), by class. `problems` gets those of
// single files and class folders; an error is one of the folder as a whole.
absl::StatusOr<FolderListing> ListFolder(const std::filesystem::path& path, Problems* problems);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_FOLDER_LISTING_H_
