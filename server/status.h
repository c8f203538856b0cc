// The one place where an error becomes a gRPC status.
#ifndef CYTOPRESS_SERVER_STATUS_H_
#define CYTOPRESS_SERVER_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace cytopress {

// The same code and message, and in the details the payloads of core/serving/error_details.h. Every
// error has a google.rpc.ErrorInfo: where none was set its reason is DISK_FULL or the code's name.
// PERMISSION_DENIED becomes INTERNAL. Message and details are cut where a trailer would have no
// room for them. REQUIRES: an error.
google::rpc::Status ToRpcStatus(const absl::Status& status);

// The same, as a google.rpc.Status in the details.
grpc::Status ToGrpcStatus(const absl::Status& status);

// What also goes into the trailer: "grpc-retry-pushback-ms" when the status has a RetryInfo.
// Call it before Finish.
void AddTrailers(const absl::Status& status, grpc::CallbackServerContext* context);

// `status`, but DEADLINE_EXCEEDED for a CANCELLED that is not well before `deadline`: a client
// counts from an earlier time than the server, and cancels what has expired.
absl::Status ExpiredIfLate(const absl::Status& status, absl::Time deadline);

// All of it, for a reactor of any kind of call.
template <typename Reactor>
void FinishWith(const absl::Status& status, grpc::CallbackServerContext* context,
                Reactor* reactor) {
  const absl::Status end = ExpiredIfLate(status, absl::FromChrono(context->deadline()));
  AddTrailers(end, context);
  reactor->Finish(ToGrpcStatus(end));
}

// INVALID_ARGUMENT, reason INVALID_FIELD: what came is not the bytes of the message that the call
// takes. Which field is wrong nobody knows.
absl::Status UnreadableMessage();

// CANCELLED, where nobody hears the answer.
absl::Status ClientGone();

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_STATUS_H_
