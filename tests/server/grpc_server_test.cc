#include "server/grpc_server.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include "tests/captured_log.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ServerTest, APortThatIsListenedOnNoMoreIsAnErrorInTheLog) {
  Start();
  const CapturedLog log;
  gpr_log("src/core/lib/iomgr/tcp_server_posix.cc", 1, GPR_LOG_SEVERITY_ERROR, "Failed accept4");
  gpr_log("src/core/ext/transport/chttp2/server/chttp2_server.cc", 1, GPR_LOG_SEVERITY_ERROR,
          "No address added");
  EXPECT_THAT(log.text(), HasSubstr("error: gRPC: Failed accept4"));
  EXPECT_THAT(log.text(), Not(HasSubstr("No address added"))) << "an error of ours tells it";
}

}  // namespace
}  // namespace cytopress
