// The timings as a picture.
#ifndef CYTOPRESS_TESTS_BENCH_CHART_H_
#define CYTOPRESS_TESTS_BENCH_CHART_H_

#include <string>
#include <vector>

#include "tests/bench/measure.h"

namespace cytopress {

// An SVG with a group of bars for each batch size and count of threads, those of a group one after
// the other in `timings`: images a second by contender, on a scale of its own, ours in colour.
// Whiskers reach from the 90th to the 10th percentile of a pass. A legend says so. Has a title and
// a description for readers who do not see it, and colours for light and dark pages.
std::string DrawTimings(const std::string& title, const std::vector<Timing>& timings);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_CHART_H_
