// One UploadModel stream.
#ifndef CYTOPRESS_SERVER_UPLOAD_REACTOR_H_
#define CYTOPRESS_SERVER_UPLOAD_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/models.pb.h"
#include "server/blocking_calls.h"
#include "server/file_places.h"

namespace cytopress {

// Gathers the file in memory and publishes it when the client has sent it all. Reads
// v1::UploadModelRequests as bytes, and answers with the bytes of a v1::Model: a message that gRPC
// cannot parse looks to a reactor of messages like the end of the file. gRPC calls it from one
// thread at a time; deletes itself when gRPC is done with it.
class UploadReactor : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  // All must outlive the reactor. `publishing` is held from the look at the newest version until
  // the next one is published.
  static UploadReactor* Start(ModelRegistry* registry, absl::Mutex* publishing, FilePlaces* places,
                              BlockingCalls* calls, grpc::CallbackServerContext* context,
                              grpc::ByteBuffer* response);

  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  UploadReactor(ModelRegistry* registry, absl::Mutex* publishing, FilePlaces* places,
                BlockingCalls* calls, grpc::CallbackServerContext* context,
                grpc::ByteBuffer* response)
      : registry_(registry),
        publishing_(publishing),
        places_(places),
        calls_(calls),
        context_(context),
        response_(response) {}
  ~UploadReactor() override { places_->Leave(this); }

  void Read();
  // Takes in what was read.
  absl::Status TakeIn();
  // Of the name and the digest, which belong to the first message.
  absl::Status TakeInHead();
  absl::StatusOr<v1::Model> Publish() const;
  void End(const absl::Status& status);

  ModelRegistry* const registry_;
  absl::Mutex* const publishing_;
  FilePlaces* const places_;
  BlockingCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer read_;  // gRPC's while a read is on its way
  v1::UploadModelRequest request_;
  std::string name_;    // empty before the first message
  std::string sha256_;  // in lower case; empty: not given
  std::string bytes_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_UPLOAD_REACTOR_H_
