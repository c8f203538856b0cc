// Upper bounds of histogram buckets that several metrics share.
#ifndef CYTOPRESS_SERVER_METRICS_BUCKETS_H_
#define CYTOPRESS_SERVER_METRICS_BUCKETS_H_

#include <prometheus/histogram.h>

namespace cytopress {

// Seconds, of what a caller waits for.
inline const prometheus::Histogram::BucketBoundaries& LatencyBuckets() {
  static const auto* const buckets = new prometheus::Histogram::BucketBoundaries{
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  return *buckets;
}

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_BUCKETS_H_
