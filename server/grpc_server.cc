#include "server/grpc_server.h"

#include <google/protobuf/stubs/common.h>
#include <grpc/compression.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/address.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/unreadable_requests.h"

// Newer releases log by Abseil.
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#define CYTOPRESS_PROTOBUF_LOGS
#endif

namespace cytopress {
namespace {

// Twice what JobWatcher lets watch: a client that watches as many jobs has room for other calls.
constexpr int kMaxStreamsPerConnection = 2048;

// gRPC's threads come after those that compute: a call waits for the end of a time slice instead of
// interrupting an engine, and calls that came meanwhile are served in one go. They come before the
// workers, which are at 10.
constexpr int kNice = 2;

// What it logs as an error ends in an error of ours, which is shorter; but of a port that it
// listens on no more nobody else tells.
void LogOfGrpc(gpr_log_func_args* line) {
  const bool of_listening =
      line->severity == GPR_LOG_SEVERITY_ERROR && absl::StrContains(line->file, "tcp_server");
  spdlog::log(of_listening ? spdlog::level::err : spdlog::level::debug, "gRPC: {} ({}:{})",
              line->message, line->file, line->line);
}

#ifdef CYTOPRESS_PROTOBUF_LOGS
// What it says of a message that cannot be parsed stands in the answer.
void LogOfProtobuf(google::protobuf::LogLevel level, const char* file, int line,
                   const std::string& message) {
  const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;
  spdlog::log(fatal ? spdlog::level::critical : spdlog::level::debug, "Protobuf: {} ({}:{})",
              message, file, line);
}

void TakeLogOfProtobuf() { google::protobuf::SetLogHandler(LogOfProtobuf); }
#else
void TakeLogOfProtobuf() {}
#endif

// All of it is the libraries', for all servers built later.
void InitializeLibraries() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(LogOfGrpc);
    TakeLogOfProtobuf();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const TlsOptions& tls) {
  if (tls.certificate.empty() != tls.key.empty()) {
    return absl::InvalidArgumentError(
        "TLS needs a certificate and its key: give both --tls-cert and --tls-key, or neither");
  }
  if (tls.certificate.empty()) {
    if (tls.client_ca.empty()) return grpc::InsecureServerCredentials();
    return absl::InvalidArgumentError(
        "--tls-client-ca needs --tls-cert and --tls-key: without TLS no client can be checked");
  }
  grpc::SslServerCredentialsOptions options(
      tls.client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                            : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  CYTOPRESS_ASSIGN_OR_RETURN(pair.private_key, ReadPem("--tls-key", tls.key));
  CYTOPRESS_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem("--tls-cert", tls.certificate));
  options.pem_key_cert_pairs.push_back(std::move(pair));
  if (!tls.client_ca.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem("--tls-client-ca", tls.client_ca));
  }
  return grpc::SslServerCredentials(options);
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

std::unique_ptr<grpc::Server> BuildAndStart(grpc::ServerBuilder* builder) {
  std::unique_ptr<grpc::Server> server;
  // Linux has a priority for each thread, which those inherit that it starts.
  std::thread starter([builder, &server] {
    if (setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + kNice) != 0) {
      spdlog::warn("the priority of the threads that serve calls cannot be set: {}",
                   std::strerror(errno));
    }
    server = builder->BuildAndStart();
  });
  starter.join();
  return server;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const GrpcServerOptions& options, const std::vector<grpc::Service*>& services,
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
        interceptors) {
  InitializeLibraries();
  if (const absl::Status free = CheckSocketIsFree(options.listen); !free.ok()) {
    return absl::UnavailableError(
        absl::StrCat(free.message(), "; stop it, or give this one another --listen"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials,
                             Credentials(options.tls));
  std::unique_ptr<GrpcServer> server(new GrpcServer());
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen, credentials, &server->port_);
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  // gRPC 1.51 decompresses a message before it looks at its size: a thousand times as much memory
  // as was sent.
  for (const grpc_compression_algorithm compression : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    builder.SetCompressionAlgorithmSupportStatus(compression, false);
  }
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(options.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(options.least_ping_interval));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(options.idle_time));
  // Otherwise a second server could listen on the same port, and calls would go to either.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Before the others, which are to see what the client gets.
  interceptors.insert(interceptors.begin(), std::make_unique<UnreadableRequests>());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->server_ = BuildAndStart(&builder);
  if (server->server_ == nullptr || server->port_ == 0) {
    const bool has_tls = !options.tls.certificate.empty();
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", options.listen,
        has_tls ? "; is the port taken, the host not this machine's, or the certificate no match "
                  "for its key? (--listen, --tls-cert, --tls-key)"
                : "; is the port taken, or the host not this machine's? (--listen)"));
  }
  server->server_->GetHealthCheckService()->SetServingStatus(false);
  return server;
}

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

void GrpcServer::SetServing(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

void GrpcServer::StopServing() { server_->GetHealthCheckService()->Shutdown(); }

void GrpcServer::Shutdown(absl::Duration patience) {
  if (server_ == nullptr || shut_down_) return;
  shut_down_ = true;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + patience));
  server_->Wait();
}

}  // namespace cytopress
