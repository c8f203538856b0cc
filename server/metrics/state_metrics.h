// What the job store, the registry, the models in memory and the disk say at the time of a scrape.
#ifndef CYTOPRESS_SERVER_METRICS_STATE_METRICS_H_
#define CYTOPRESS_SERVER_METRICS_STATE_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/jobs/job_store.h"
#include "core/registry/model_registry.h"

namespace cytopress {

// What the metrics are read from; all must outlive them.
struct StateSources {
  JobStore* jobs = nullptr;
  const ModelRegistry* models = nullptr;
  std::function<std::vector<ModelVersion>()> loaded_models;
  std::function<int64_t()> waiting_images;
  std::function<std::vector<std::pair<ModelVersion, absl::Duration>>()> predicted_seconds;
  std::function<double()> prediction_margin;
  std::string state_folder;
  Clock* clock = nullptr;
};

// Thread-safe. However often it is scraped, the sources are asked once a second.
class StateMetrics : public prometheus::Collectable {
 public:
  // Stages that ended before count as seen: stage durations are those since the construction or,
  // where the ledger could not be read then, since the first scrape that could.
  explicit StateMetrics(StateSources sources);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  using Families = std::vector<prometheus::MetricFamily>;

  void Refresh() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectJobs(Families* families) const;
  void CollectWorkers(Families* families) const;
  void CollectModels(Families* families) const;
  void CollectDisk(Families* families) const;
  // Observes the ledger lines that are new; until it has caught up with what was there before,
  // it only does that.
  void ReadLedger() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const StateSources sources_;
  // The metrics that are counted along the way rather than read.
  prometheus::Registry counted_;
  prometheus::Family<prometheus::Histogram>& stage_seconds_;
  prometheus::Family<prometheus::Gauge>& training_speed_;

  // Collect is const for the sake of its interface.
  mutable absl::Mutex mutex_;
  mutable Families cached_ ABSL_GUARDED_BY(mutex_);
  mutable absl::Duration refreshed_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  mutable int64_t last_ledger_line_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable bool caught_up_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_STATE_METRICS_H_
