#include "server/grpc_server.h"

#include <gmock/gmock.h>
#include <grpc/compression.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/captured_log.h"
#include "tests/server/generic_call.h"
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

// Decompressed, a message could be as large as it liked before anybody looked at its size.
TEST_F(ServerTest, CompressedMessagesAreRefused) {
  Start();
  v1::ClassifyRequest request;
  request.add_images()->set_encoded(std::string(1 << 20, '\0'));
  for (const grpc_compression_algorithm compression : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    const std::unique_ptr<grpc::ClientContext> context = Context();
    context->set_compression_algorithm(compression);
    v1::ClassifyResponse response;
    const grpc::Status status = inference_->Classify(context.get(), request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(status.error_message(), HasSubstr("is disabled"));
  }
}

TEST_F(ServerTest, WhatProtobufSaysOfARequestIsNoErrorInTheLog) {
  Start();
  testing::internal::CaptureStderr();
  std::string response;
  // GetJobRequest{id = 1}.
  CallGeneric(channel_, "/cytopress.v1.JobService/GetJob", "\x0a\x01\xff", &response);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("libprotobuf")));
}

}  // namespace
}  // namespace cytopress
