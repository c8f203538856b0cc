// How many images of each class the splits of a data set have.
#ifndef CYTOPRESS_CLIENT_REPORT_SPLIT_COUNTS_H_
#define CYTOPRESS_CLIENT_REPORT_SPLIT_COUNTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/dataset/dataset.h"

namespace cytopress {

struct SplitCounts {
  std::string split;
  std::vector<int64_t> images;  // by class

  int64_t total() const;
};

std::vector<SplitCounts> CountSplits(const Dataset& dataset);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_SPLIT_COUNTS_H_
