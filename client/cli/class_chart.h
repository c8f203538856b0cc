// The class distribution of a data set's splits, drawn.
#ifndef CYTOPRESS_CLIENT_CLI_CLASS_CHART_H_
#define CYTOPRESS_CLIENT_CLI_CLASS_CHART_H_

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

// A block of bars for each split, as long as `columns` allows.
std::string DrawTextChart(const std::vector<std::string>& class_names,
                          const std::vector<SplitCounts>& splits, int columns);

// One grouped bar chart as a standalone SVG document.
std::string DrawSvgChart(const std::string& title, const std::vector<std::string>& class_names,
                         const std::vector<SplitCounts>& splits);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CLASS_CHART_H_
