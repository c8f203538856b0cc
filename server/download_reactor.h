// One DownloadModel stream.
#ifndef CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_
#define CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <istream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/models.pb.h"
#include "server/blocking_calls.h"
#include "server/file_places.h"

namespace cytopress {

// Sends the model, then its file in chunks of 256 KiB, read one at a time while the one before is
// on its way. A converted file is kept in memory until its stream ends. Deletes itself when gRPC is
// done with it.
class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadModelResponse> {
 public:
  static DownloadReactor* Start(const v1::DownloadModelRequest& request,
                                const ModelRegistry* registry, FilePlaces* places,
                                BlockingCalls* calls, grpc::CallbackServerContext* context);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  DownloadReactor(const v1::DownloadModelRequest& request, const ModelRegistry* registry,
                  FilePlaces* places, BlockingCalls* calls, grpc::CallbackServerContext* context)
      : request_(request), registry_(registry), places_(places), calls_(calls), context_(context) {}
  ~DownloadReactor() override { places_->Leave(this); }

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
  FilePlaces* const places_;
  BlockingCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  std::unique_ptr<std::istream> content_;
  v1::DownloadModelResponse response_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_DOWNLOAD_REACTOR_H_
