// One ClassifyStream call.
#ifndef CYTOPRESS_CLIENT_CLASSIFY_STREAM_H_
#define CYTOPRESS_CLIENT_CLASSIFY_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <deque>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/patience.h"
#include "core/base/steady_notification.h"
#include "cytopress/v1/inference.grpc.pb.h"

namespace cytopress {

// Written to by the caller's thread and read by one of its own. Write, Next and Close are for one
// thread. After an error of Next, and after Close, only the destructor may follow.
class ClassifyStream {
 public:
  // `patience`: for the connection, for the next answer, for the server to take in a request, and
  // for it to end the stream. Must be finite.
  ClassifyStream(v1::InferenceService::StubInterface* stub, absl::Duration patience);
  ~ClassifyStream();
  ClassifyStream(const ClassifyStream&) = delete;
  ClassifyStream& operator=(const ClassifyStream&) = delete;

  // May wait for the server to read on. What goes wrong, Next tells.
  void Write(const v1::ClassifyStreamRequest& request);

  // Waits for an answer. DEADLINE_EXCEEDED when none comes within `patience`, or the server has not
  // taken in a request for so long; else what the stream ended with, UNAVAILABLE if that is OK.
  absl::StatusOr<v1::ClassifyStreamResponse> Next();

  // Ends the writing and waits for the stream's end. REQUIRES: every request has its answer.
  // DEADLINE_EXCEEDED when it does not end within `patience`; else what it ended with.
  absl::Status Close();

 private:
  void Read();
  std::optional<v1::ClassifyStreamResponse> TakeAnswer();
  absl::Status Finish();

  const absl::Duration patience_;
  grpc::ClientContext context_;
  Patience writing_;
  std::unique_ptr<
      grpc::ClientReaderWriterInterface<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>>
      stream_;
  absl::Mutex mutex_;
  std::deque<v1::ClassifyStreamResponse> answers_ ABSL_GUARDED_BY(mutex_);
  SteadyNotification news_;   // an answer, or the end
  SteadyNotification ended_;  // all answers are there
  std::thread reader_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLASSIFY_STREAM_H_
