// The images that `classify` is asked for, as this machine has them.
#ifndef CYTOPRESS_CLIENT_CLI_IMAGE_FILES_H_
#define CYTOPRESS_CLIENT_CLI_IMAGE_FILES_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

struct ImageFile {
  std::string path;
  absl::Status error;  // why there is nothing to read
};

struct ImageFiles {
  std::vector<ImageFile> files;
  int64_t left_out = 0;                    // in folders, because of their names
  std::set<std::string> left_out_endings;  // of these, in lower case
};

// Whether it is what the command line calls standard input: "-", or the system's name of it.
bool IsStandardInput(absl::string_view path);

// A path that is no folder is taken by whatever name, and standard input once. Of a folder, and of
// the folders in it, all that ends in .png, .jpg or .jpeg (in any case) is taken, sorted; names
// that begin with a dot are passed over, and so are symbolic links to folders. What is not there,
// cannot be read or has no image stands among the files with its error, so that the others can go
// on: NOT_FOUND or INVALID_ARGUMENT.
ImageFiles FindImageFiles(const std::vector<std::string>& paths);

// Of a file without an error, or of standard input, which is empty from then on; at most 64 MiB.
// Errors as above.
absl::StatusOr<std::string> ReadImageFile(const std::string& path);

// "3 files (.bmp, .tif) are not called .png, .jpg or .jpeg"; empty where none was left out.
std::string LeftOutInWords(const ImageFiles& files);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_IMAGE_FILES_H_
