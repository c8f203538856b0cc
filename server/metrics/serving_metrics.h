// What core/serving reports, by model version.
#ifndef CYTOPRESS_SERVER_METRICS_SERVING_METRICS_H_
#define CYTOPRESS_SERVER_METRICS_SERVING_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/serving/classify_pipeline.h"

namespace cytopress {

// Thread-safe.
class ServingMetrics : public ServingObserver {
 public:
  // `registry` must outlive this.
  explicit ServingMetrics(prometheus::Registry* registry);

  void OnBatch(const ModelVersion& model, int images, absl::Duration cpu) override;
  void OnClassified(const ModelVersion& model, int images, bool bulk,
                    const ClassifyTiming& timing) override;
  void OnRefused(const std::string& reason) override;

 private:
  struct OfModel {
    prometheus::Histogram* queue;
    prometheus::Histogram* decode;
    prometheus::Histogram* compute;
    prometheus::Histogram* unary;
    prometheus::Histogram* stream;
    prometheus::Histogram* batch;
    prometheus::Counter* images;
    prometheus::Counter* cpu;
  };

  const OfModel& Of(const ModelVersion& model) ABSL_LOCKS_EXCLUDED(mutex_);

  prometheus::Family<prometheus::Histogram>& queue_;
  prometheus::Family<prometheus::Histogram>& decode_;
  prometheus::Family<prometheus::Histogram>& compute_;
  prometheus::Family<prometheus::Histogram>& request_;
  prometheus::Family<prometheus::Histogram>& batch_;
  prometheus::Family<prometheus::Counter>& images_;
  prometheus::Family<prometheus::Counter>& cpu_;
  prometheus::Family<prometheus::Counter>& refused_;

  absl::Mutex mutex_;
  // Entries stay where they are and never change.
  std::map<std::pair<std::string, int64_t>, OfModel> models_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_SERVING_METRICS_H_
