// What can be told of a job's data without reading them.
#ifndef CYTOPRESS_SERVER_DATASET_CHECK_H_
#define CYTOPRESS_SERVER_DATASET_CHECK_H_

#include <string>

namespace cytopress {

// Empty, or why LoadDataset (core/dataset/dataset.h) would refuse `path`, with the remedy. Looks at
// names, sizes and an archive's directory only, at no image, which takes milliseconds where the
// disk answers. What may be in order is, and so is a disk that fails: the job is tried then.
std::string WhatIsWrongWithDataset(const std::string& path);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_DATASET_CHECK_H_
