#include "tests/server/test_server.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/rpc/status.pb.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {

NetworkSpec TestNetwork() {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.stem = Stem::kStride2;
  spec.classes = 8;
  return spec;
}

const Artifact& TestModel() {
  static const auto* const model =
      new Artifact(RandomArtifact(TestNetwork(), v1::WEIGHT_TYPE_INT4));
  return *model;
}

std::string TestArtifact(int64_t edition) {
  // Compressing takes a while; replacing the evaluation does not.
  static const auto* const bytes = new absl::StatusOr<std::string>(SerializeArtifact(TestModel()));
  v1::Evaluation evaluation;
  evaluation.set_split("test");
  evaluation.set_accuracy(0.875);
  evaluation.set_auc(0.9375);
  evaluation.set_images(edition);
  const absl::StatusOr<std::string> edited =
      bytes->ok() ? ReplaceMetadata(**bytes, {{evaluation}, {}, {}}) : *bytes;
  EXPECT_TRUE(edited.ok()) << edited.status();
  return edited.ok() ? *edited : "";
}

std::vector<std::string> Details::fields() const {
  std::vector<std::string> fields;
  for (const auto& violation : bad_request.field_violations()) fields.push_back(violation.field());
  return fields;
}

Details DetailsOf(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  EXPECT_EQ(rich.code(), status.error_code());
  EXPECT_EQ(rich.message(), status.error_message());
  Details details;
  for (const google::protobuf::Any& any : rich.details()) {
    if (any.Is<google::rpc::ErrorInfo>()) any.UnpackTo(&details.info);
    if (any.Is<google::rpc::BadRequest>()) any.UnpackTo(&details.bad_request);
    if (any.Is<google::rpc::RetryInfo>()) details.has_retry = true;
  }
  EXPECT_EQ(details.info.domain(), "cytopress") << status.error_message();
  EXPECT_FALSE(details.info.reason().empty());
  return details;
}

std::string HttpGet(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  EXPECT_TRUE(connected) << "nobody listens on port " << port;
  if (connected) {
    const std::string request =
        absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    char buffer[1 << 14];
    ssize_t bytes;
    while ((bytes = recv(fd, buffer, sizeof(buffer), 0)) > 0) answer.append(buffer, bytes);
  }
  close(fd);
  return answer;
}

double MetricValue(const std::string& text, const std::string& series) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    double value = 0;
    if (!absl::StartsWith(line, absl::StrCat(series, " "))) continue;
    if (absl::SimpleAtod(line.substr(series.size() + 1), &value)) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

void ServerTest::Start() {
  DaemonOptions options;
  options.grpc.listen = "127.0.0.1:0";
  options.metrics_listen = "127.0.0.1:0";
  options.state_folder = folder_;
  options.workers = 0;
  options.serving.decode_threads = 2;
  Configure(&options);
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(options);
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  daemon_ = *std::move(daemon);
  channel_ = OpenChannel(absl::StrCat("127.0.0.1:", daemon_->port()));
  jobs_ = v1::JobService::NewStub(channel_);
  models_ = v1::ModelService::NewStub(channel_);
  inference_ = v1::InferenceService::NewStub(channel_);
}

std::shared_ptr<grpc::Channel> ServerTest::OpenChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

std::unique_ptr<grpc::ClientContext> ServerTest::Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  return context;
}

ModelRegistry ServerTest::OpenRegistry() const {
  absl::StatusOr<ModelRegistry> registry = ModelRegistry::Open(folder_ + "/models");
  EXPECT_TRUE(registry.ok()) << registry.status();
  return *std::move(registry);
}

std::unique_ptr<JobStore> ServerTest::OpenStore() const {
  absl::StatusOr<std::unique_ptr<JobStore>> store =
      OpenJobStore(absl::StrCat("sqlite://", folder_, "/jobs.db"), RealClock());
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

ModelVersion ServerTest::Publish(const std::string& name, int64_t edition) const {
  const absl::StatusOr<ModelVersion> version =
      OpenRegistry().Publish(name, TestArtifact(edition), "");
  EXPECT_TRUE(version.ok()) << version.status();
  return *version;
}

v1::CompressRequest ServerTest::ValidCompress() {
  v1::CompressRequest request;
  request.mutable_spec()->set_model_name("cells");
  request.mutable_spec()->mutable_dataset()->set_uri("synthetic");
  request.mutable_spec()->mutable_recipe()->mutable_prune()->set_sparsity(0.5);
  return request;
}

grpc::Status ServerTest::Compress(const v1::CompressRequest& request, v1::Job* job) {
  return jobs_->Compress(Context().get(), request, job);
}

v1::Job ServerTest::MustCompress(const v1::CompressRequest& request) {
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return job;
}

}  // namespace cytopress
