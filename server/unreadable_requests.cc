#include "server/unreadable_requests.h"

#include <grpcpp/support/interceptor.h>
#include <grpcpp/support/status.h>

#include "server/status.h"

namespace cytopress {
namespace {

using grpc::experimental::InterceptionHookPoints;

class UnreadableRequest : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    // Null at the end of a client's stream, too.
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE) &&
        methods->GetRecvMessage() == nullptr) {
      has_no_message_ = true;
    }
    if (has_no_message_ &&
        methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      // What is ours has details.
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
          status.error_details().empty()) {
        methods->ModifySendStatus(ToGrpcStatus(UnreadableMessage()));
      }
    }
    methods->Proceed();
  }

 private:
  bool has_no_message_ = false;
};

}  // namespace

grpc::experimental::Interceptor* UnreadableRequests::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  return new UnreadableRequest();
}

}  // namespace cytopress
