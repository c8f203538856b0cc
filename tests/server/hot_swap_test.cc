// Versions come and go while requests flow: none of them may fail.
#include <gmock/gmock.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/eventually.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

constexpr int kMaxLoaded = 3;
// Every third, and so the last, takes its version back.
constexpr int kRounds = 30;

class HotSwapTest : public ServerTest {
 protected:
  void SetUp() override {
    newest_ = Publish("cells").version;
    Start();
  }
  void Configure(DaemonOptions* options) override {
    options->serving.models.max_loaded = kMaxLoaded;
  }

  static v1::ClassifyRequest Request() {
    v1::ClassifyRequest request;
    request.set_model("cells");
    v1::RawImage* const raw = request.add_images()->mutable_raw();
    raw->set_width(28);
    raw->set_height(28);
    raw->set_channels(3);
    raw->set_pixels(std::string(28 * 28 * 3, 'x'));
    return request;
  }
  void Count(bool ok, const std::string& error) {
    ++answers_;
    if (ok) return;
    ++failures_;
    ADD_FAILURE() << error;
  }
  void CallOneByOne() {
    const v1::ClassifyRequest request = Request();
    while (!stop_) {
      v1::ClassifyResponse response;
      const grpc::Status status = inference_->Classify(Context().get(), request, &response);
      Count(status.ok(), status.error_message());
    }
  }
  void CallOnAStream() {
    const std::unique_ptr<grpc::ClientContext> context = Context();
    const auto stream = inference_->ClassifyStream(context.get());
    v1::ClassifyStreamRequest item;
    *item.mutable_request() = Request();
    v1::ClassifyStreamResponse answer;
    while (!stop_) {
      ASSERT_TRUE(stream->Write(item) && stream->Write(item));
      for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(stream->Read(&answer));
        Count(answer.has_response(), answer.error().message());
      }
    }
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }
  void Delete(int64_t version) {
    v1::DeleteModelRequest request;
    request.set_name("cells");
    request.set_version(version);
    v1::DeleteModelResponse response;
    const grpc::Status status = models_->DeleteModel(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  int Loaded() const {
    int loaded = 0;
    const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      loaded += absl::StartsWith(line, "cytopress_model_loaded{") && absl::EndsWith(line, " 1");
    }
    return loaded;
  }

  // Of one more request; 0 if it fails.
  int64_t AnsweringVersion() {
    v1::ClassifyResponse response;
    return inference_->Classify(Context().get(), Request(), &response).ok()
               ? response.model_version()
               : 0;
  }

  int64_t newest_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> answers_{0};
  std::atomic<int64_t> failures_{0};
};

TEST_F(HotSwapTest, NoRequestFails) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) clients.emplace_back([this] { CallOneByOne(); });
  clients.emplace_back([this] { CallOnAStream(); });
  int most_loaded = 0;
  for (int round = 1; round <= kRounds; ++round) {
    absl::SleepFor(absl::Milliseconds(100));
    const int64_t before = newest_;
    newest_ = Publish("cells", round).version;
    if (round % 3 == 0) {
      // Takes it back.
      Delete(newest_);
      newest_ = before;
    } else {
      Delete(before);
    }
    most_loaded = std::max(most_loaded, Loaded());
  }
  // The last round took a version back, which may have replaced the one before: requests load that
  // again.
  EXPECT_TRUE(Eventually([this] { return AnsweringVersion() == newest_ && Loaded() == 1; }));
  stop_ = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failures_, 0);
  EXPECT_GT(answers_, 20);
  EXPECT_LE(most_loaded, kMaxLoaded);
  EXPECT_EQ(AnsweringVersion(), newest_);
  EXPECT_EQ(Loaded(), 1) << "those that were replaced have left memory";
}

}  // namespace
}  // namespace cytopress
