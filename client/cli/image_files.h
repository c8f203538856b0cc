// The images that `classify` is asked for, as this machine has them.
#ifndef CYTOPRESS_CLIENT_CLI_IMAGE_FILES_H_
#define CYTOPRESS_CLIENT_CLI_IMAGE_FILES_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"

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

// A path that is no folder is taken by whatever name. Of a folder, and of the folders in it, all
// that ends in .png, .jpg or .jpeg (in any case) is taken, sorted; names that begin with a dot are
// passed over, and so are symbolic links to folders. What is not there, cannot be read or has no
// image stands among the files with its error, so that the others can go on.
ImageFiles FindImageFiles(const std::vector<std::string>& paths);

// "3 files (.bmp, .tif) are not called .png, .jpg or .jpeg"; empty where none was left out.
std::string LeftOutInWords(const ImageFiles& files);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_IMAGE_FILES_H_
