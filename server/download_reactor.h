// One DownloadModel stream.
#ifndef CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_
#define CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <istream>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/models.pb.h"
#include "server/blocking_calls.h"

namespace cytopress {

class DownloadReactor;

// The streams of converted models, each of which keeps its file in memory. Thread-safe.
class Conversions {
 public:
  // `clock` must outlive this. A stream whose client has not read for `patience` is cut off when
  // another wants its place.
  Conversions(absl::Duration patience, Clock* clock) : patience_(patience), clock_(clock) {}

 private:
  friend class DownloadReactor;
  // False when there are too many. It converts now, and may take its time.
  bool Add(DownloadReactor* stream);
  // It writes; the client has read what was written before.
  void NoteWrite(DownloadReactor* stream);
  void Remove(DownloadReactor* stream);

  const absl::Duration patience_;
  Clock* const clock_;

  absl::Mutex mutex_;
  // With the steady time of the last write.
  std::map<DownloadReactor*, absl::Duration> streams_ ABSL_GUARDED_BY(mutex_);
};

// Sends the model, then its file in chunks of 256 KiB, read one at a time while the one before is
// on its way. A converted file is kept in memory until its stream ends. Deletes itself when gRPC is
// done with it.
class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadModelResponse> {
 public:
  static DownloadReactor* Start(const v1::DownloadModelRequest& request,
                                const ModelRegistry* registry, Conversions* conversions,
                                BlockingCalls* calls, grpc::CallbackServerContext* context);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

  // Ends the call.
  void CutOff() { context_->TryCancel(); }

 private:
  DownloadReactor(const v1::DownloadModelRequest& request, const ModelRegistry* registry,
                  Conversions* conversions, BlockingCalls* calls,
                  grpc::CallbackServerContext* context)
      : request_(request),
        registry_(registry),
        conversions_(conversions),
        calls_(calls),
        context_(context) {}
  ~DownloadReactor() override { conversions_->Remove(this); }

  // Exactly one of the steps below is under way at any time.
  void Schedule(void (DownloadReactor::*step)());
  void Take(void (DownloadReactor::*step)());
  void SendModel();
  void SendChunk();
  absl::Status Open();
  absl::Status OpenFile(const std::string& path);
  absl::Status OpenOnnx(const std::string& path);
  void Write();
  void End(const absl::Status& status);

  const v1::DownloadModelRequest request_;
  const ModelRegistry* const registry_;
  Conversions* const conversions_;
  BlockingCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  std::unique_ptr<std::istream> content_;
  v1::DownloadModelResponse response_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_
