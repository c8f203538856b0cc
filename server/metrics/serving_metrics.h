// What core/serving reports, by model version.
#ifndef CYTOPRESS_SERVER_METRICS_SERVING_METRICS_H_
#define CYTOPRESS_SERVER_METRICS_SERVING_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <deque>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/registry/model_registry.h"
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
  // `model` has left memory. Its series stay until 32 other versions, of any names, have been
  // unloaded after it, so that rate() sees their end; what is reported of it later begins at 0.
  void OnUnloaded(const ModelVersion& model) override;

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
    bool unloaded;
  };
  using Models = std::map<ModelVersion, OfModel>;

  const OfModel& Of(const ModelVersion& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(Models::iterator model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  prometheus::Family<prometheus::Histogram>& queue_;
  prometheus::Family<prometheus::Histogram>& decode_;
  prometheus::Family<prometheus::Histogram>& compute_;
  prometheus::Family<prometheus::Histogram>& request_;
  prometheus::Family<prometheus::Histogram>& batch_;
  prometheus::Family<prometheus::Counter>& images_;
  prometheus::Family<prometheus::Counter>& cpu_;
  prometheus::Family<prometheus::Counter>& refused_;
  // By reason. Not changed after the constructor, so that whoever refuses needs no lock.
  std::map<std::string, prometheus::Counter*> refusals_;

  // Held while a series is observed, so that it is not removed meanwhile.
  absl::Mutex mutex_;
  Models models_ ABSL_GUARDED_BY(mutex_);
  // Those of models_ that are; the last one at the end.
  std::deque<Models::iterator> unloaded_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_SERVING_METRICS_H_
