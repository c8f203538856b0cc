#include "client/client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <utility>

#include "client/status.h"
#include "client/tls_files.h"
#include "core/base/address.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr int kMaxMessageBytes = 256 << 20;

// A service that comes back is found within seconds, where gRPC's own back-off goes to minutes. Its
// "minimum" back-off stays as it is: that is also how long an attempt to connect may take.
constexpr int kFirstReconnectMs = 200;
constexpr int kMaxReconnectMs = 3000;
// Finds out that the server's machine is gone while a watch has nothing to say. cytopressd allows a
// ping every ten seconds.
constexpr int kKeepaliveMs = 60 * 1000;
constexpr int kKeepaliveTimeoutMs = 20 * 1000;
// After two pings gRPC would ask no more until there is something to send, and a watch has nothing
// to send while its job waits in the queue.
constexpr int kUnlimitedPings = 0;

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const std::optional<TlsFiles>& tls) {
  if (!tls.has_value()) return grpc::InsecureChannelCredentials();
  CYTOPRESS_ASSIGN_OR_RETURN(const grpc::SslCredentialsOptions options, ReadTlsFiles(*tls));
  return grpc::SslCredentials(options);
}

template <typename Response>
absl::StatusOr<Response> ToResult(const grpc::Status& status, Response response) {
  if (!status.ok()) return ToAbslStatus(status);
  return response;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials,
                             MakeCredentials(options.tls));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, kUnlimitedPings);
  if (IsLocal(options.target)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return std::make_unique<Client>(grpc::CreateCustomChannel(options.target, credentials, arguments),
                                  options);
}

Client::Client(std::shared_ptr<grpc::ChannelInterface> channel, const ClientOptions& options)
    : deadline_(options.deadline),
      sleep_(options.sleep),
      jobs_(v1::JobService::NewStub(channel)),
      models_(v1::ModelService::NewStub(channel)),
      inference_(v1::InferenceService::NewStub(channel)) {}

void Client::SetDeadline(grpc::ClientContext* context) const {
  // gRPC takes a monotonic span from now; the system clock is only how its interface spells that.
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(deadline_));
}

absl::StatusOr<v1::Job> Client::Compress(const v1::CompressRequest& request) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::Job job;
  const grpc::Status status = jobs_->Compress(&context, request, &job);
  return ToResult(status, std::move(job));
}

absl::StatusOr<v1::Job> Client::GetJob(const std::string& id) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::GetJobRequest request;
  request.set_id(id);
  v1::Job job;
  const grpc::Status status = jobs_->GetJob(&context, request, &job);
  return ToResult(status, std::move(job));
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs(const v1::ListJobsRequest& request) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ListJobsResponse response;
  const grpc::Status status = jobs_->ListJobs(&context, request, &response);
  return ToResult(status, std::move(response));
}

absl::StatusOr<v1::Job> Client::CancelJob(const std::string& id) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::CancelJobRequest request;
  request.set_id(id);
  v1::Job job;
  const grpc::Status status = jobs_->CancelJob(&context, request, &job);
  return ToResult(status, std::move(job));
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(const v1::ListModelsRequest& request) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ListModelsResponse response;
  const grpc::Status status = models_->ListModels(&context, request, &response);
  return ToResult(status, std::move(response));
}

absl::StatusOr<v1::Model> Client::GetModel(const std::string& name, int64_t version) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::GetModelRequest request;
  request.set_name(name);
  request.set_version(version);
  v1::Model model;
  const grpc::Status status = models_->GetModel(&context, request, &model);
  return ToResult(status, std::move(model));
}

absl::Status Client::DeleteModel(const std::string& name, int64_t version) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::DeleteModelRequest request;
  request.set_name(name);
  request.set_version(version);
  v1::DeleteModelResponse response;
  return ToAbslStatus(models_->DeleteModel(&context, request, &response));
}

absl::StatusOr<v1::ClassifyResponse> Client::Classify(const v1::ClassifyRequest& request) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ClassifyResponse response;
  const grpc::Status status = inference_->Classify(&context, request, &response);
  return ToResult(status, std::move(response));
}

}  // namespace cytopress
