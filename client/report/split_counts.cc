#include "client/report/split_counts.h"

#include <numeric>

namespace cytopress {

int64_t SplitCounts::total() const {
  return std::accumulate(images.begin(), images.end(), int64_t{0});
}

std::vector<SplitCounts> CountSplits(const Dataset& dataset) {
  return {{"train", ClassCounts(dataset.train, dataset.classes())},
          {"val", ClassCounts(dataset.val, dataset.classes())},
          {"test", ClassCounts(dataset.test, dataset.classes())}};
}

}  // namespace cytopress
