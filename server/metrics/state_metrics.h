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
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/jobs/job_store.h"
#include "core/registry/model_registry.h"
#include "server/metrics/state_reader.h"

namespace cytopress {

// What the metrics are read from; all must outlive them. The functions must wait for nothing.
struct StateSources {
  JobStore* jobs = nullptr;
  const ModelRegistry* models = nullptr;
  std::function<std::vector<ModelVersion>()> loaded_models;
  std::function<int64_t()> waiting_images;
  std::function<std::vector<std::pair<ModelVersion, absl::Duration>>()> predicted_seconds;
  std::function<double()> prediction_margin;
  std::string state_folder;
  std::string models_folder;
  Clock* clock = nullptr;
};

// Thread-safe. What is in memory is told as it is at the scrape. The job database and the folders
// are read once a second at most, each on a thread of its own: a scrape has what they said last
// where news do not come in time, for a minute.
class StateMetrics : public prometheus::Collectable {
 public:
  // Stages that ended before count as seen: stage durations are those since the construction or,
  // where the ledger could not be read then, since the first reading that could. A scrape waits at
  // most `patience` for news. At its end this waits for a question to the database to be answered,
  // and for one to the folders at most `patience`.
  explicit StateMetrics(StateSources sources, absl::Duration patience = absl::Seconds(2));

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  using Families = std::vector<prometheus::MetricFamily>;

  void CollectServing(const std::vector<ModelVersion>& published, Families* families) const;
  StateReading ReadDatabase() const;
  // What cannot be read has no metric.
  absl::Status CollectJobs(Families* families) const;
  absl::Status CollectWorkers(Families* families) const;
  // Observes the ledger lines that are new.
  absl::Status ReadLedger() const;

  const StateSources sources_;
  const absl::Duration patience_;
  // The metrics that are counted along the way rather than read.
  prometheus::Registry counted_;
  prometheus::Family<prometheus::Histogram>& stage_seconds_;
  prometheus::Family<prometheus::Gauge>& training_speed_;

  // What changes, though Collect is const for the sake of its interface. The line is the database
  // thread's alone once that reads, and there is none until the ledger could be read.
  mutable std::optional<int64_t> last_ledger_line_;
  // Last: what they read with must outlive them.
  mutable StateReader database_;
  mutable StateReader folders_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_STATE_METRICS_H_
