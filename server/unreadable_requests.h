// Errors for requests that gRPC cannot parse.
#ifndef CYTOPRESS_SERVER_UNREADABLE_REQUESTS_H_
#define CYTOPRESS_SERVER_UNREADABLE_REQUESTS_H_

#include <grpcpp/support/server_interceptor.h>

namespace cytopress {

// gRPC answers such a request, of a call that takes one message, with UNIMPLEMENTED and no text, as
// if there were no such call. It becomes UnreadableMessage (server/status.h). Thread-safe.
class UnreadableRequests : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_UNREADABLE_REQUESTS_H_
