#include "server/unreadable_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/server/generic_call.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

class UnreadableRequestsTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  grpc::Status Call(const std::string& method, const std::string& request) {
    std::string response;
    return CallGeneric(channel_, method, request, &response);
  }
};

TEST_F(UnreadableRequestsTest, AreInvalidAndNotUnknownCalls) {
  // A text, as field 1 of each request, that is not UTF-8, and one that is cut off.
  for (const char* request : {"\x0a\x01\xff", "\x0a\x05x"}) {
    for (const char* method : {"JobService/GetJob", "JobService/WatchJob", "ModelService/GetModel",
                               "ModelService/DownloadModel", "InferenceService/Classify"}) {
      const grpc::Status status = Call(std::string("/cytopress.v1.") + method, request);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
      EXPECT_THAT(status.error_message(), HasSubstr("UTF-8")) << method;
      EXPECT_EQ(DetailsOf(status).info.reason(), "INVALID_FIELD") << method;
    }
  }
  EXPECT_EQ(MetricValue(HttpGet(daemon_->metrics_port(), "/metrics"),
                        "cytopress_requests_total{code=\"INVALID_ARGUMENT\",method=\"GetJob\"}"),
            2);
}

TEST_F(UnreadableRequestsTest, AnUnknownCallStaysOne) {
  for (const char* method : {"/cytopress.v1.JobService/Nothing", "/cytopress.v1.Nothing/GetJob"}) {
    EXPECT_EQ(Call(method, "\x0a\x01\xff").error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
  }
}

}  // namespace
}  // namespace cytopress
