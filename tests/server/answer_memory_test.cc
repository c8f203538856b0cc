// Answers for which there is no memory are refused; the server goes on.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/registry/model_registry.h"
#include "tests/replaced_new.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

std::atomic<size_t> refused_bytes{0};  // so many at once there is no memory for; 0: any number

}  // namespace

void* Allocate(size_t bytes) {
  if (bytes != 0 && bytes == refused_bytes) return nullptr;
  return AllocateOf(bytes);
}

namespace {

// Of a class. A prime: no string of another length grows to it.
constexpr size_t kNameBytes = 251;

const std::string& ModelFile() {
  static const auto* const file = [] {
    Artifact artifact = TestModel();
    artifact.class_names[0] = std::string(kNameBytes, 'x');
    return new std::string(SerializeArtifact(artifact).value());
  }();
  return *file;
}

class AnswerMemoryTest : public ServerTest {
 protected:
  void SetUp() override {
    ModelRegistry registry = OpenRegistry();
    ASSERT_TRUE(registry.Publish("cells", ModelFile(), /*publication_key=*/"").ok());
    Start();
    request_.set_model("cells");
    request_.set_top_k(-1);
    v1::RawImage* const raw = request_.add_images()->mutable_raw();
    raw->set_width(28);
    raw->set_height(28);
    raw->set_channels(3);
    raw->set_pixels(std::string(28 * 28 * 3, '\x7f'));
    // From now on nothing but answers takes memory for the name.
    ASSERT_TRUE(Classify().ok());
  }
  void TearDown() override { LackMemory(false); }

  static void LackMemory(bool lack) { refused_bytes = lack ? kNameBytes + 1 : 0; }
  grpc::Status Classify() {
    v1::ClassifyResponse response;
    return inference_->Classify(Context().get(), request_, &response);
  }

  v1::ClassifyRequest request_;
};

TEST_F(AnswerMemoryTest, ACallIsRefusedForNow) {
  LackMemory(true);
  const grpc::Status status = Classify();
  LackMemory(false);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(DetailsOf(status).info.reason(), "OUT_OF_MEMORY");
  EXPECT_TRUE(DetailsOf(status).has_retry);
  EXPECT_TRUE(Classify().ok());
}

TEST_F(AnswerMemoryTest, AStreamGoesOn) {
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto stream = inference_->ClassifyStream(context.get());
  v1::ClassifyStreamRequest item;
  *item.mutable_request() = request_;
  v1::ClassifyStreamResponse answer;
  LackMemory(true);
  EXPECT_TRUE(stream->Write(item) && stream->Read(&answer));
  LackMemory(false);
  EXPECT_EQ(answer.error().code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << answer.DebugString();
  google::rpc::ErrorInfo info;
  for (const google::protobuf::Any& detail : answer.error().details()) {
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&info);
  }
  EXPECT_EQ(info.reason(), "OUT_OF_MEMORY");
  EXPECT_TRUE(stream->Write(item) && stream->Read(&answer));
  EXPECT_TRUE(answer.has_response());
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace cytopress
