// The way of a request from bytes to probabilities:
//   admission -> the model -> decoding and preprocessing on a pool -> the model's batcher -> an
//   engine -> callback.
// Nothing here blocks its caller: the registry is asked on a thread of its own.
#ifndef CYTOPRESS_CORE_SERVING_CLASSIFY_PIPELINE_H_
#define CYTOPRESS_CORE_SERVING_CLASSIFY_PIPELINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/image/image.h"
#include "core/serving/admission.h"
#include "core/serving/answer_time.h"
#include "core/serving/input_image.h"
#include "core/serving/model_host.h"
#include "core/serving/recent_versions.h"
#include "core/serving/thread_pool.h"

namespace cytopress {

// In all they are the time from admission to the end.
struct ClassifyTiming {
  absl::Duration queue;    // waiting, for decoding threads, the model or an engine
  absl::Duration decode;   // decoding and preprocessing
  absl::Duration compute;  // in engines
};

struct ClassifyOutcome {
  ModelHandle model;                 // has the version and the class names
  std::vector<float> probabilities;  // [images, classes]
  ClassifyTiming timing;
};

struct ClassifyTask {
  ModelVersion model;  // empty name: the default; version 0: the newest
  std::vector<InputImage> images;
  int top_k = 1;  // only checked against the number of classes; -1 = all
  absl::Time deadline = absl::InfiniteFuture();
  // Bulk work, whose amount its sender bounds: it waits until it is let in instead of being
  // refused, and others go first.
  bool bulk = false;
  // Set by the caller when nobody waits any more. May be null.
  std::shared_ptr<const std::atomic<bool>> cancelled;
  // Once, on any thread, perhaps before Submit returns. Errors carry details (error_details.h); a
  // bad image is INVALID_ARGUMENT with the violated field "images[i]"; no memory, to load the
  // model, to decode or to compute, is RESOURCE_EXHAUSTED with a RetryInfo and the reason
  // OUT_OF_MEMORY.
  std::function<void(absl::StatusOr<ClassifyOutcome>)> done;
};

// Hears what happens; for metrics. Thread-safe and short.
class ServingObserver {
 public:
  virtual ~ServingObserver() = default;
  // Computed; `cpu` is the time of the thread that did.
  virtual void OnBatch(const ModelVersion& model, int images, absl::Duration cpu) = 0;
  // `bulk`: of a stream, whose items wait for each other.
  virtual void OnClassified(const ModelVersion& model, int images, bool bulk,
                            const ClassifyTiming& timing) = 0;
  // A version has left memory, until it is loaded again.
  virtual void OnUnloaded(const ModelVersion& model) = 0;
  // Refused for now: by overload, by a server that stops, or for lack of memory. Not what could
  // never be let in. `reason` is that of the ErrorInfo.
  virtual void OnRefused(const std::string& reason) = 0;
};

struct ClassifyPipelineOptions {
  // So long after another process has published or deleted, requests may not know of it: short
  // against the time that loading takes, long against that between the requests of a busy server.
  absl::Duration versions_fresh_for = absl::Milliseconds(20);
  int decode_threads = 1;
  DecodeLimits decode = {int64_t{16} << 20};  // an image
  AdmissionOptions admission;
  ModelHostOptions models;
};

// Thread-safe.
class ClassifyPipeline {
 public:
  // All must outlive the pipeline.
  ClassifyPipeline(const ClassifyPipelineOptions& options, ModelLoader* loader,
                   ServingObserver* observer, Clock* clock);
  // Refuses what comes and waits for what it has admitted.
  ~ClassifyPipeline();

  // A request whose answer is predicted for after its deadline is refused (admission.h); one that
  // was cancelled or has expired is dropped before its next image is decoded or computed. Requests
  // for the newest version are answered by the one before until it is in memory. While the registry
  // is UNAVAILABLE, what is in memory answers on; for other models that is the error.
  // REQUIRES: at least one image.
  void Submit(ClassifyTask task);

  // Brings a model into memory; `done` on another thread, on which others wait for the registry: it
  // must be short. For warming up.
  void Preload(const ModelVersion& model, std::function<void(const absl::Status&)> done);

  // The version is not in the registry any more. It serves those who want the newest until the one
  // that is the newest now is loaded, then its memory is given back.
  void OnDeleted(const ModelVersion& model);

  // Refuses new requests. True as soon as all admitted ones are answered, false after `timeout`,
  // which must be finite.
  bool Drain(absl::Duration timeout);

  // Time from now to the answer to a request of `images` images in `encoded_bytes` of PNG or JPEG,
  // as far as can be told from what was computed before; zero when nothing waits or the model is
  // not in memory.
  absl::Duration PredictedTime(const ModelVersion& model, int64_t images,
                               int64_t encoded_bytes) const;

  // The safety factor in PredictedTime (prediction_margin.h).
  double prediction_margin() const { return answer_time_.margin(); }

  int64_t waiting_images() const { return admission_.waiting_images(); }
  ModelHost* models() { return &models_; }

 private:
  struct Request;
  using RequestPtr = std::shared_ptr<Request>;

  void Start(const RequestPtr& request, std::unique_ptr<Admission::Ticket> ticket);
  // Asks the registry, on the thread for that.
  void ScheduleLookUp(const RequestPtr& request);
  void LookUp(const RequestPtr& request);
  // `version` is what the request means. Goes on where it is to be decoded: here, or by a decoder.
  void ContinueWith(const RequestPtr& request, const ModelVersion& version);
  void FindModel(const RequestPtr& request, const ModelVersion& version);
  // While it waits for a model, or for what the registry says, a request is not among those that
  // wait to be decoded and computed. RESOURCE_EXHAUSTED when too much waits for that.
  absl::Status Park(const RequestPtr& request, const std::string& what);
  void Unpark(const RequestPtr& request);
  void Prepare(const RequestPtr& request, ModelHandle model);
  void DecodeQuickly(const RequestPtr& request);
  void DecodeSome(const RequestPtr& request);
  // Into the batch's pixels.
  absl::Status Decode(Request& request, int index, const DecodeLimits& limits);
  static void NoteIfBad(Request& request, int index, absl::Status status);
  void Enqueue(const RequestPtr& request);
  void Finish(const RequestPtr& request, absl::Status status);
  absl::Status WhyDrop(const Request& request) const;
  // Large requests leave much free memory behind, of which the system gets nothing by itself.
  void ReturnMemoryOfRequests();

  const ClassifyPipelineOptions options_;
  ModelLoader* const loader_;
  ServingObserver* const observer_;
  Clock* const clock_;
  Admission admission_;
  int64_t unreturned_bytes_ = 0;  // of the host's thread: the most that requests held
  RecentVersions recent_;
  ModelHost models_;

  AnswerTime answer_time_;
  ThreadPool decoders_;
  // For the registry: a file system that stalls must not take the decoders with it.
  ThreadPool lookups_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_CLASSIFY_PIPELINE_H_
