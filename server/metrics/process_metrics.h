// Memory, processor time and age of this process, under the names that Prometheus' own client
// libraries use, and which release it is.
#ifndef CYTOPRESS_SERVER_METRICS_PROCESS_METRICS_H_
#define CYTOPRESS_SERVER_METRICS_PROCESS_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace cytopress {

// Bytes of this process that are in RAM; 0 when the kernel does not tell.
int64_t ResidentBytes();

// Thread-safe.
class ProcessMetrics : public prometheus::Collectable {
 public:
  ProcessMetrics(std::string version, absl::Time started)
      : version_(std::move(version)), started_(started) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::string version_;
  const absl::Time started_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_PROCESS_METRICS_H_
