// The gRPC server around the services: port, TLS, limits, health, reflection.
#ifndef CYTOPRESS_SERVER_GRPC_SERVER_H_
#define CYTOPRESS_SERVER_GRPC_SERVER_H_

#include <grpcpp/server.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cytopress {

// PEM files.
struct TlsOptions {
  std::string certificate;  // empty: no encryption
  std::string key;
  std::string client_ca;  // if given, clients need a certificate of it
};

struct GrpcServerOptions {
  std::string listen = "127.0.0.1:8500";  // "host:port" (port 0: a free one) or "unix:/path"
  TlsOptions tls;
  int max_message_bytes = 64 << 20;  // of one request
  // A client with open calls that was silent for so long is asked whether it is there, and cut off
  // when it does not answer in time: it may have gone without a word.
  absl::Duration keepalive_time = absl::Seconds(60);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  // A client may ask as well, with calls or without: one that has nothing to send for hours, as
  // while it watches a job, keeps its connection by that. Who asks more often is cut off.
  absl::Duration least_ping_interval = absl::Seconds(10);
  // A connection without a call for so long is closed: it takes a file descriptor, and its client
  // opens another one when it has something to ask.
  absl::Duration idle_time = absl::Minutes(10);
};

// Thread-safe, but for destruction.
class GrpcServer {
 public:
  // Listens from now on; every service's health is NOT_SERVING. `services` must outlive the server.
  // UNAVAILABLE when it cannot listen, INVALID_ARGUMENT or NOT_FOUND for TLS files.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const GrpcServerOptions& options, const std::vector<grpc::Service*>& services,
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
          interceptors);
  // As Shutdown without patience.
  ~GrpcServer();

  // grpc.health.v1: of `service` ("cytopress.v1.JobService"), or of the server as a whole ("").
  void SetServing(const std::string& service, bool serving);

  // Health becomes NOT_SERVING for good.
  void StopServing();
  // No new calls; those under way have until `patience` is over, then they are cut off.
  void Shutdown(absl::Duration patience);

  // Of a Unix socket, it means nothing.
  int port() const { return port_; }

 private:
  GrpcServer() = default;

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool shut_down_ = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_GRPC_SERVER_H_
