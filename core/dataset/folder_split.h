// Which split an image of a folder is in.
#ifndef CYTOPRESS_CORE_DATASET_FOLDER_SPLIT_H_
#define CYTOPRESS_CORE_DATASET_FOLDER_SPLIT_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/dataset/folder_listing.h"

namespace cytopress {

// Where the listing of `path` has no splits, chooses those of its files by `seed` and by each one's
// pixels, about 70/10/20. Files with the same pixels stay together, and no split of a class stays
// empty. `problems` gets the same pixels in two classes, or in two splits that are given, and
// classes with fewer different images than there are splits.
// `pixels`: of all files, one after another, `image_bytes` each.
void SplitFolder(const std::filesystem::path& path, const std::vector<uint8_t>& pixels,
                 int64_t image_bytes, uint64_t seed, FolderListing* listing, Problems* problems);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_FOLDER_SPLIT_H_
