// A server whose options a test chooses.
#ifndef CYTOPRESS_TESTS_SERVER_DAEMON_FIXTURE_H_
#define CYTOPRESS_TESTS_SERVER_DAEMON_FIXTURE_H_

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "server/daemon.h"
#include "tests/server/generic_call.h"
#include "tests/server/test_server.h"

namespace cytopress {

class DaemonTest : public ServerTest {
 protected:
  void Configure(DaemonOptions* options) override {
    if (configure_) configure_(options);
  }
  std::function<void(DaemonOptions*)> configure_;

  // Of another server than that of Start().
  DaemonOptions SomeOptions() const {
    DaemonOptions options;
    options.workers = 0;
    options.state_folder = folder_;
    options.grpc.listen = options.metrics_listen = "127.0.0.1:0";
    return options;
  }

  void AwaitServing() {
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (Health(channel_, "cytopress.v1.InferenceService") != "SERVING") {
      ASSERT_LT(absl::Now(), give_up);
      absl::SleepFor(absl::Milliseconds(20));
    }
  }

  void ClassifyOnce(const std::string& model) {
    v1::ClassifyRequest request;
    request.set_model(model);
    v1::RawImage* const raw = request.add_images()->mutable_raw();
    raw->set_width(28);
    raw->set_height(28);
    raw->set_channels(3);
    raw->set_pixels(std::string(28 * 28 * 3, 'x'));
    v1::ClassifyResponse response;
    const grpc::Status status = inference_->Classify(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_DAEMON_FIXTURE_H_
