// cytopress.v1.ModelService over a ModelRegistry.
#ifndef CYTOPRESS_SERVER_MODEL_SERVICE_H_
#define CYTOPRESS_SERVER_MODEL_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/jobs/job_store.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "server/blocking_calls.h"
#include "server/file_places.h"

namespace cytopress {

// Thread-safe: gRPC calls it on many threads.
class ModelService : public v1::ModelService::WithCallbackMethod_ListModels<
                         v1::ModelService::WithCallbackMethod_GetModel<
                             v1::ModelService::WithCallbackMethod_DownloadModel<
                                 v1::ModelService::WithRawCallbackMethod_UploadModel<
                                     v1::ModelService::WithCallbackMethod_DeleteModel<
                                         v1::ModelService::Service>>>>> {
 public:
  // All must outlive the service. `on_deleted` is told after a deletion. `patience`: see
  // FilePlaces.
  ModelService(absl::Duration patience, ModelRegistry* registry, JobStore* store,
               std::function<void(const ModelVersion&)> on_deleted, BlockingCalls* calls,
               Clock* clock);

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override;
  grpc::ServerWriteReactor<v1::DownloadModelResponse>* DownloadModel(
      grpc::CallbackServerContext* context, const v1::DownloadModelRequest* request) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* UploadModel(grpc::CallbackServerContext* context,
                                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteModel(grpc::CallbackServerContext* context,
                                        const v1::DeleteModelRequest* request,
                                        v1::DeleteModelResponse* response) override;

 private:
  absl::StatusOr<v1::ListModelsResponse> List(const v1::ListModelsRequest& request) const;
  absl::Status Delete(const ModelVersion& model);
  // FAILED_PRECONDITION names an unfinished job whose base is `model`, or that has published it as
  // its dense parent and goes on to compare others with it.
  absl::Status CheckUnused(const ModelVersion& model) const;

  ModelRegistry* const registry_;
  JobStore* const store_;
  const std::function<void(const ModelVersion&)> on_deleted_;
  BlockingCalls* const calls_;
  FilePlaces places_;
  absl::Mutex publishing_;  // see UploadReactor
};

// Name and version of a request for one model; version 0 is the newest. INVALID_ARGUMENT names the
// field.
absl::StatusOr<ModelVersion> ModelVersionOf(const std::string& name, int64_t version);

// NOT_FOUND with the reason MODEL_NOT_FOUND.
absl::StatusOr<v1::Model> GetModel(const ModelRegistry& registry, const ModelVersion& model);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_MODEL_SERVICE_H_
