#include "tests/bench/load/swapper.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "core/artifact/artifact.h"
#include "core/base/status_macros.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {

absl::StatusOr<std::string> RandomModel(const std::string& architecture) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.classes = 8;
  CYTOPRESS_RETURN_IF_ERROR(BuildNetwork(spec).status());
  return SerializeArtifact(RandomArtifact(spec, v1::WEIGHT_TYPE_INT4));
}

Swapper::Swapper(const std::string& models, const std::string& name, const std::string& target,
                 absl::Duration interval)
    : models_(models), name_(name), target_(target), interval_(interval) {
  thread_ = std::thread([this] { Run(); });
}

Swapper::~Swapper() { Stop().IgnoreError(); }

absl::StatusOr<int> Swapper::Stop() {
  if (!stop_.HasBeenNotified()) stop_.Notify();
  if (thread_.joinable()) thread_.join();
  if (!status_.ok()) return status_;
  return swaps_;
}

void Swapper::Run() {
  absl::StatusOr<ModelRegistry> registry = ModelRegistry::Open(models_);
  status_ = registry.status();
  while (status_.ok() && !stop_.WaitForNotificationWithTimeout(interval_)) {
    status_ = Swap(&*registry);
    ++swaps_;
  }
}

absl::Status Swapper::Swap(ModelRegistry* registry) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion before, registry->Resolve({name_, 0}));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, registry->Read(before));
  CYTOPRESS_RETURN_IF_ERROR(registry->Publish(name_, bytes, "").status());
  const auto stub =
      v1::ModelService::NewStub(grpc::CreateChannel(target_, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::DeleteModelRequest request;
  request.set_name(before.name);
  request.set_version(before.version);
  v1::DeleteModelResponse response;
  const grpc::Status status = stub->DeleteModel(&context, request, &response);
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace cytopress
