#include "server/blocking_calls.h"

#include <grpcpp/support/status.h>
#include <grpcpp/test/default_reactor_test_peer.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

constexpr int kMayWait = 1024;

TEST(BlockingCalls, WhereTooManyWaitTheNextIsRefusedAtOnce) {
  absl::Notification begun, go_on;
  std::atomic<int> done{0};
  {
    BlockingCalls calls(/*threads=*/1);
    ASSERT_TRUE(calls.TrySchedule([&] {
      begun.Notify();
      go_on.WaitForNotification();
    }));
    begun.WaitForNotification();  // and so waits for its turn no more
    for (int i = 0; i < kMayWait; ++i) {
      EXPECT_TRUE(calls.TrySchedule([&done] { ++done; })) << i;
    }
    EXPECT_FALSE(calls.TrySchedule([&done] { ++done; }));

    grpc::CallbackServerContext context;
    grpc::testing::DefaultReactorTestPeer answer(&context);
    calls.Answer(&context, [&done] {
      ++done;
      return absl::OkStatus();
    });
    EXPECT_TRUE(answer.test_status_set());
    if (answer.test_status_set()) {
      EXPECT_EQ(answer.test_status().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_EQ(DetailsOf(answer.test_status()).info.reason(), "TOO_MANY_CALLS");
      EXPECT_TRUE(DetailsOf(answer.test_status()).has_retry);
    }
    go_on.Notify();
  }
  EXPECT_EQ(done.load(), kMayWait) << "what was refused is not done later";
}

}  // namespace
}  // namespace cytopress
