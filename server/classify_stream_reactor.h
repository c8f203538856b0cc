// One ClassifyStream call.
#ifndef CYTOPRESS_SERVER_CLASSIFY_STREAM_REACTOR_H_
#define CYTOPRESS_SERVER_CLASSIFY_STREAM_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/serving/classify_pipeline.h"
#include "cytopress/v1/inference.pb.h"
#include "server/metrics/request_metrics.h"

namespace cytopress {

class ClassifyStreamReactor;

// The streams that are open, and the memory that what was read of them takes. Thread-safe.
class ClassifyStreams {
 public:
  // While all streams together hold `max_bytes` of messages that are not answered, each that has
  // any pauses its reading. `observer`, which must outlive the streams, hears of those that are
  // refused.
  ClassifyStreams(int64_t max_bytes, ServingObserver* observer)
      : max_bytes_(max_bytes), observer_(observer) {}

  // Ends every stream, also those yet to come, with UNAVAILABLE once what was read of it is
  // answered.
  void Stop();

 private:
  friend class ClassifyStreamReactor;
  // UNAVAILABLE when they have been stopped, RESOURCE_EXHAUSTED with a RetryInfo when there are too
  // many: each may take memory for a message before it is counted.
  absl::Status Add(ClassifyStreamReactor* stream);
  void Remove(ClassifyStreamReactor* stream);

  // A message was read; the pipeline counts it only once it is let in.
  void Hold(int64_t bytes) { bytes_ += bytes; }
  // They are answered. Lets the streams read on that waited for room. REQUIRES: the caller holds no
  // stream's lock.
  void Release(int64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasRoom() const { return bytes_ < max_bytes_; }

  const int64_t max_bytes_;
  ServingObserver* const observer_;
  std::atomic<int64_t> bytes_{0};

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<ClassifyStreamReactor*> streams_ ABSL_GUARDED_BY(mutex_);
};

// Reads requests while not too much of what was read is unanswered, hands them to the pipeline as
// bulk work, and writes the answers in the order in which they come. The client that does not read
// its answers is not read from either. Reads v1::ClassifyStreamRequests and writes
// v1::ClassifyStreamResponses, as bytes: a message that gRPC cannot parse looks to a reactor of
// messages like the end of the stream. Thread-safe: gRPC's threads, the pipeline's and other
// streams call it.
class ClassifyStreamReactor : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // The reactor lives until gRPC and the pipeline are done with it. The pipeline, the streams, the
  // metrics and the context must outlive it.
  static ClassifyStreamReactor* Start(ClassifyPipeline* pipeline, ClassifyStreams* streams,
                                      RequestMetrics* metrics,
                                      grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // See ClassifyStreams::Stop.
  void Stop();
  // Reads on if there is room again, see ClassifyStreams::Release.
  void GoOn();

 private:
  // A request from its reading until its answer is written.
  struct Item {
    v1::ClassifyStreamRequest request;
    v1::ClassifyStreamResponse response;
    int64_t images = 0;
    int64_t bytes = 0;
  };
  using ItemPtr = std::shared_ptr<Item>;

  ClassifyStreamReactor(ClassifyPipeline* pipeline, ClassifyStreams* streams,
                        RequestMetrics* metrics, grpc::CallbackServerContext* context)
      : pipeline_(pipeline), streams_(streams), metrics_(metrics), context_(context) {}

  // Of one that is not `readable`, the request has what came before the fault.
  void Submit(const ItemPtr& item, bool readable) ABSL_LOCKS_EXCLUDED(mutex_);
  void Answer(ItemPtr item, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Starts what can be started now: a read, a write, or the end.
  void Proceed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ClassifyPipeline* const pipeline_;
  ClassifyStreams* const streams_;
  RequestMetrics* const metrics_;
  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<ClassifyStreamReactor> self_;  // until OnDone
  grpc::ByteBuffer read_;                        // gRPC's while a read is on its way
  grpc::ByteBuffer written_;                     // gRPC's while a write is

  absl::Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // What the stream ends with, once nothing is unanswered any more.
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  int64_t items_ ABSL_GUARDED_BY(mutex_) = 0;  // read, and their answers not written
  int64_t images_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<ItemPtr> answered_ ABSL_GUARDED_BY(mutex_);  // to be written, or the first is already
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_CLASSIFY_STREAM_REACTOR_H_
