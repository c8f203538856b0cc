// Calls that block (the database, files) run here, so that gRPC's own threads never wait.
#ifndef CYTOPRESS_SERVER_BLOCKING_CALLS_H_
#define CYTOPRESS_SERVER_BLOCKING_CALLS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/serving/thread_pool.h"

namespace cytopress {

// Thread-safe.
class BlockingCalls {
 public:
  explicit BlockingCalls(int threads) : pool_("blocking", threads) {}

  // Runs `body` on a thread and answers the call with its status. RESOURCE_EXHAUSTED at once when
  // too many wait already.
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   std::function<absl::Status()> body);
  // The same for a message: copied to `response` when there is one.
  template <typename Message>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Message* response,
                                   std::function<absl::StatusOr<Message>()> body) {
    return Answer(context, [response, body = std::move(body)] {
      absl::StatusOr<Message> message = body();
      if (!message.ok()) return message.status();
      *response = *std::move(message);
      return absl::OkStatus();
    });
  }

  // False when too many wait already.
  bool TrySchedule(std::function<void()> work);
  // RESOURCE_EXHAUSTED with a RetryInfo: what to answer then.
  static absl::Status Overloaded();

 private:
  ThreadPool pool_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_BLOCKING_CALLS_H_
