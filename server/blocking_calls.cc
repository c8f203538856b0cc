#include "server/blocking_calls.h"

#include <new>
#include <utility>

#include "absl/time/time.h"
#include "core/serving/error_details.h"
#include "server/status.h"

namespace cytopress {
namespace {

constexpr int64_t kMaxQueued = 1024;

absl::Status Try(const std::function<absl::Status()>& body) try {
  return body();
} catch (const std::bad_alloc&) {
  return OutOfMemory("no memory to answer the call");
}

}  // namespace

grpc::ServerUnaryReactor* BlockingCalls::Answer(grpc::CallbackServerContext* context,
                                                std::function<absl::Status()> body) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const bool scheduled = TrySchedule([context, reactor, body = std::move(body)] {
    // It may have waited long for its turn; nobody would learn what was done.
    FinishWith(context->IsCancelled() ? ClientGone() : Try(body), context, reactor);
  });
  if (!scheduled) FinishWith(Overloaded(), context, reactor);
  return reactor;
}

bool BlockingCalls::TrySchedule(std::function<void()> work) {
  return pool_.TrySchedule(std::move(work), kMaxQueued);
}

absl::Status BlockingCalls::Overloaded() {
  return Busy("too many calls wait for the server; try again later", "TOO_MANY_CALLS",
              absl::Milliseconds(500));
}

}  // namespace cytopress
