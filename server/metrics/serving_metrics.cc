#include "server/metrics/serving_metrics.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/metrics/buckets.h"

namespace cytopress {
namespace {

// Whose series are kept.
constexpr size_t kMaxUnloadedVersions = 32;

const prometheus::Histogram::BucketBoundaries& BatchBuckets() {
  static const auto* const buckets =
      new prometheus::Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128};
  return *buckets;
}

prometheus::Family<prometheus::Histogram>& Histograms(const std::string& name,
                                                      const std::string& help,
                                                      prometheus::Registry* registry) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
}

prometheus::Labels WithCall(prometheus::Labels labels, const std::string& call) {
  labels["call"] = call;
  return labels;
}

}  // namespace

ServingMetrics::ServingMetrics(prometheus::Registry* registry)
    : queue_(Histograms(
          "cytopress_classify_queue_seconds",
          "Time that a request waited: to be let in, for a decoder, for a model, for a batch",
          registry)),
      decode_(Histograms("cytopress_classify_decode_seconds",
                         "Time that a Classify request took to decode and preprocess its images",
                         registry)),
      compute_(Histograms("cytopress_classify_compute_seconds",
                          "Time that a Classify request spent in the engine", registry)),
      request_(Histograms(
          "cytopress_classify_request_seconds",
          "Time that a Classify request, or a message of a stream, spent in the server", registry)),
      batch_(Histograms("cytopress_classify_batch_size", "Images that the engine was given at once",
                        registry)),
      images_(prometheus::BuildCounter()
                  .Name("cytopress_classify_images_total")
                  .Help("Images classified")
                  .Register(*registry)),
      cpu_(prometheus::BuildCounter()
               .Name("cytopress_classify_engine_cpu_seconds_total")
               .Help("Processor time of the threads that compute batches, while they did")
               .Register(*registry)),
      refused_(prometheus::BuildCounter()
                   .Name("cytopress_classify_refused_total")
                   .Help("Classify requests and streams that were not let in for now, and requests "
                         "and messages that found no memory, by reason")
                   .Register(*registry)) {
  // From the start, so that the first refusal is a change and not the birth of a series.
  for (const char* reason : {"DEADLINE_UNREACHABLE", "OUT_OF_MEMORY", "QUEUE_FULL", "SHUTTING_DOWN",
                             "TOO_MANY_STREAMS"}) {
    refusals_[reason] = &refused_.Add({{"reason", absl::AsciiStrToLower(reason)}});
  }
}

const ServingMetrics::OfModel& ServingMetrics::Of(const ModelVersion& model) {
  const auto [it, is_new] = models_.try_emplace(model);
  if (is_new) {
    const prometheus::Labels labels = {{"model", model.name},
                                       {"version", absl::StrCat(model.version)}};
    it->second = {&queue_.Add(labels, LatencyBuckets()),
                  &decode_.Add(labels, LatencyBuckets()),
                  &compute_.Add(labels, LatencyBuckets()),
                  &request_.Add(WithCall(labels, "unary"), LatencyBuckets()),
                  &request_.Add(WithCall(labels, "stream"), LatencyBuckets()),
                  &batch_.Add(labels, BatchBuckets()),
                  &images_.Add(labels),
                  &cpu_.Add(labels),
                  /*unloaded=*/false};
  }
  if (it->second.unloaded) {
    // It was loaded again.
    it->second.unloaded = false;
    unloaded_.erase(std::find(unloaded_.begin(), unloaded_.end(), it));
  }
  return it->second;
}

void ServingMetrics::OnBatch(const ModelVersion& model, int images, absl::Duration cpu) {
  absl::MutexLock lock(&mutex_);
  const OfModel& metrics = Of(model);
  metrics.batch->Observe(images);
  metrics.cpu->Increment(absl::ToDoubleSeconds(cpu));
}

void ServingMetrics::OnClassified(const ModelVersion& model, int images, bool bulk,
                                  const ClassifyTiming& timing) {
  absl::MutexLock lock(&mutex_);
  const OfModel& metrics = Of(model);
  metrics.queue->Observe(absl::ToDoubleSeconds(timing.queue));
  metrics.decode->Observe(absl::ToDoubleSeconds(timing.decode));
  metrics.compute->Observe(absl::ToDoubleSeconds(timing.compute));
  prometheus::Histogram* const request = bulk ? metrics.stream : metrics.unary;
  request->Observe(absl::ToDoubleSeconds(timing.queue + timing.decode + timing.compute));
  metrics.images->Increment(images);
}

void ServingMetrics::OnUnloaded(const ModelVersion& model) {
  absl::MutexLock lock(&mutex_);
  const auto it = models_.find(model);
  if (it == models_.end() || it->second.unloaded) return;
  it->second.unloaded = true;
  unloaded_.push_back(it);
  if (unloaded_.size() <= kMaxUnloadedVersions) return;
  Remove(unloaded_.front());
  unloaded_.pop_front();
}

void ServingMetrics::Remove(Models::iterator model) {
  const OfModel& metrics = model->second;
  queue_.Remove(metrics.queue);
  decode_.Remove(metrics.decode);
  compute_.Remove(metrics.compute);
  request_.Remove(metrics.unary);
  request_.Remove(metrics.stream);
  batch_.Remove(metrics.batch);
  images_.Remove(metrics.images);
  cpu_.Remove(metrics.cpu);
  models_.erase(model);
}

void ServingMetrics::OnRefused(const std::string& reason) {
  if (const auto it = refusals_.find(reason); it != refusals_.end()) return it->second->Increment();
  refused_.Add({{"reason", absl::AsciiStrToLower(reason)}}).Increment();
}

}  // namespace cytopress
