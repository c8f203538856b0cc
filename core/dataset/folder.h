// Data sets as folders of PNG and JPEG files, one folder a class.
#ifndef CYTOPRESS_CORE_DATASET_FOLDER_H_
#define CYTOPRESS_CORE_DATASET_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// `path`/{train,val,test}/CLASS/* (when there is a folder `path`/train) or `path`/CLASS/*, where
// val and test are not the only folders. Classes are the folder names, sorted. Files that do not
// end in .png, .jpg or .jpeg (in any case) and names that begin with a dot are skipped. Lest images
// are missing without a word, an image beside the CLASS folders, a link to nothing whose name ends
// so, and a folder within CLASS that holds images, are INVALID_ARGUMENT. Every image goes through
// Preprocess as options.folder_preprocessing says; one that already has the wanted size stays as it
// is.
//
// With CLASS folders only, options.seed and an image's pixels decide which split it is in, so that
// it stays there when other images come or go, and copies stay together. The shares 70/10/20 hold
// on average. Only a split that has no image of a class takes one from the class's largest split.
// With splits given, the same pixels in two splits are INVALID_ARGUMENT, because a test image that
// was trained on proves nothing; so are, in both layouts, the same pixels in two classes. The
// message names both files.
//
// Decodes on all cores. The content hash is not set. INVALID_ARGUMENT names the folders and files,
// of many problems the first 20: all that can be known from the list of files and from decoding
// them, else from comparing them. RESOURCE_EXHAUSTED, before an image is read, when the images
// together are over options.max_bytes.
absl::StatusOr<Dataset> LoadFolder(const std::string& path, const DatasetOptions& options);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_FOLDER_H_
