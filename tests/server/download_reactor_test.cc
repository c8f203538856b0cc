#include "server/download_reactor.h"

#include <grpcpp/server_context.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tests/fake_clock.h"
#include "tests/server/test_server.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

// Returns when the one thread of `calls` has done what it was given.
void AwaitIdle(BlockingCalls* calls) {
  absl::Notification idle;
  ASSERT_TRUE(calls->TrySchedule([&idle] { idle.Notify(); }));
  idle.WaitForNotification();
}

// The test calls as gRPC does; without a call, nothing is sent.
TEST(DownloadReactorTest, WhoWaitsForTheServerKeepsItsPlace) {
  const TemporaryFolder temporary;
  absl::StatusOr<ModelRegistry> registry = ModelRegistry::Open(temporary.PathOf("models"));
  ASSERT_TRUE(registry.ok()) << registry.status();
  ASSERT_TRUE(registry->Publish("cells", TestArtifact(), "").ok());
  FakeClock clock;
  FilePlaces places(absl::Seconds(10), &clock);
  BlockingCalls calls(/*threads=*/1);
  grpc::CallbackServerContext context;
  v1::DownloadModelRequest request;
  request.set_name("cells");
  request.set_format(v1::MODEL_FORMAT_ONNX);
  DownloadReactor* const reactor =
      DownloadReactor::Start(request, &*registry, &places, &calls, &context);
  AwaitIdle(&calls);

  absl::Notification other_work_ends;
  ASSERT_TRUE(calls.TrySchedule([&] { other_work_ends.WaitForNotification(); }));
  reactor->OnWriteDone(true);
  clock.Advance(absl::Minutes(1));
  const int others[2] = {};
  EXPECT_TRUE(places.Take(&others[0], [] {}));
  // To be cut off would crash: there is no call.
  EXPECT_FALSE(places.Take(&others[1], [] {}));
  other_work_ends.Notify();
  AwaitIdle(&calls);

  reactor->OnWriteDone(false);
  reactor->OnDone();
}

}  // namespace
}  // namespace cytopress
