// One DownloadModel stream.
#ifndef CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_
#define CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <istream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/models.pb.h"
#include "server/blocking_calls.h"

namespace cytopress {

// Sends the model, then its file in chunks of 256 KiB, read one at a time while the one before is
// on its way. A converted file is kept in memory until its stream ends. Deletes itself when gRPC is
// done with it.
class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadModelResponse> {
 public:
  // Streams of converted models at a time, of one service.
  static constexpr int kMostConversions = 2;

  // `conversions` counts those streams.
  static DownloadReactor* Start(const v1::DownloadModelRequest& request,
                                const ModelRegistry* registry, std::atomic<int>* conversions,
                                BlockingCalls* calls, grpc::CallbackServerContext* context);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  DownloadReactor(const v1::DownloadModelRequest& request, const ModelRegistry* registry,
                  std::atomic<int>* conversions, BlockingCalls* calls,
                  grpc::CallbackServerContext* context)
      : request_(request),
        registry_(registry),
        conversions_(conversions),
        calls_(calls),
        context_(context) {}
  ~DownloadReactor() override;

  // Exactly one of the steps below is under way at any time.
  void Schedule(void (DownloadReactor::*step)());
  void SendModel();
  void SendChunk();
  absl::Status Open();
  absl::Status OpenFile(const std::string& path);
  absl::Status OpenOnnx(const std::string& path);
  void End(const absl::Status& status);

  const v1::DownloadModelRequest request_;
  const ModelRegistry* const registry_;
  std::atomic<int>* const conversions_;
  BlockingCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  bool converts_ = false;  // and is counted
  std::unique_ptr<std::istream> content_;
  v1::DownloadModelResponse response_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_
