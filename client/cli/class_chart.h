// The class distribution of a data set's splits, drawn.
#ifndef CYTOPRESS_CLIENT_CLI_CLASS_CHART_H_
#define CYTOPRESS_CLIENT_CLI_CLASS_CHART_H_

#include <string>
#include <vector>

#include "client/report/split_counts.h"

namespace cytopress {

// A block of bars for each split, as long as `columns` allows.
std::string DrawTextChart(const std::vector<std::string>& class_names,
                          const std::vector<SplitCounts>& splits, int columns);

// One grouped bar chart as a standalone SVG document.
std::string DrawSvgChart(const std::string& title, const std::vector<std::string>& class_names,
                         const std::vector<SplitCounts>& splits);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CLASS_CHART_H_
