#include <gmock/gmock.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "core/image/image.h"
#include "server/classify_stream_reactor.h"
#include "server/metrics/request_metrics.h"
#include "tests/eventually.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

using Stream = grpc::ClientReaderWriter<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>;

void AddRaw(char shade, v1::ClassifyRequest* request) {
  v1::RawImage* const raw = request->add_images()->mutable_raw();
  raw->set_width(28);
  raw->set_height(28);
  raw->set_channels(3);
  raw->set_pixels(std::string(28 * 28 * 3, shade));
}

v1::ClassifyStreamRequest Item(int64_t id, int images = 1) {
  v1::ClassifyStreamRequest item;
  item.set_id(id);
  item.mutable_request()->set_model("cells");
  item.mutable_request()->set_top_k(-1);
  for (int i = 0; i < images; ++i) {
    AddRaw(static_cast<char>(id + i), item.mutable_request());
  }
  return item;
}

class ClassifyStreamTest : public ServerTest {
 protected:
  void SetUp() override {
    Publish("cells");
    Start();
    context_ = Context();
    stream_ = inference_->ClassifyStream(context_.get());
  }
  // At most one image may wait: what is not bulk work would soon be refused.
  void Configure(DaemonOptions* options) override {
    options->serving.admission.max_waiting_images = 1;
  }
  void TearDown() override {
    context_->TryCancel();
    if (!finished_) stream_->Finish();
  }
  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
  bool finished_ = false;
};

TEST_F(ClassifyStreamTest, OneTooManyIsRefusedAndTheOthersGoOn) {
  std::vector<std::pair<std::unique_ptr<grpc::ClientContext>, std::unique_ptr<Stream>>> others;
  const auto answers = [](Stream* stream) {
    v1::ClassifyStreamResponse answer;
    return stream->Write(Item(1)) && stream->Read(&answer) && answer.has_response();
  };
  ASSERT_TRUE(answers(stream_.get()));
  for (int i = 1; i < 64; ++i) {
    others.emplace_back(Context(), nullptr);
    others.back().second = inference_->ClassifyStream(others.back().first.get());
    ASSERT_TRUE(answers(others.back().second.get())) << i;
  }
  const auto context = Context();
  const auto refused = inference_->ClassifyStream(context.get());
  const grpc::Status status = refused->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("64 streams"));
  EXPECT_EQ(DetailsOf(status).info.reason(), "TOO_MANY_STREAMS");
  EXPECT_TRUE(DetailsOf(status).has_retry);
  EXPECT_EQ(context->GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1u);
  EXPECT_EQ(MetricValue(HttpGet(daemon_->metrics_port(), "/metrics"),
                        "cytopress_classify_refused_total{reason=\"too_many_streams\"}"),
            1);
  EXPECT_TRUE(answers(stream_.get()));
  for (auto& [other_context, stream] : others) {
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST_F(ClassifyStreamTest, AnswersEveryRequestAsAUnaryCallWould) {
  constexpr int kItems = 40;
  std::thread writer([this] {
    for (int i = 0; i < kItems; ++i) EXPECT_TRUE(stream_->Write(Item(i, 1 + i % 3)));
    stream_->WritesDone();
  });
  std::map<int64_t, v1::ClassifyStreamResponse> answers;
  v1::ClassifyStreamResponse answer;
  while (stream_->Read(&answer)) answers[answer.id()] = answer;
  writer.join();
  EXPECT_TRUE(Finish().ok());
  ASSERT_EQ(answers.size(), kItems);
  for (int i = 0; i < kItems; ++i) {
    ASSERT_TRUE(answers[i].has_response()) << answers[i].error().message();
    ASSERT_EQ(answers[i].response().results_size(), 1 + i % 3);
  }
  v1::ClassifyResponse alone;
  ASSERT_TRUE(inference_->Classify(Context().get(), Item(7).request(), &alone).ok());
  EXPECT_EQ(answers[7].response().results(0).SerializeAsString(),
            alone.results(0).SerializeAsString());
  EXPECT_EQ(answers[7].response().model_version(), 1);
  const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
  for (const auto& [call, count] : {std::pair{"stream", kItems}, {"unary", 1}}) {
    EXPECT_EQ(MetricValue(text, absl::StrCat("cytopress_classify_request_seconds_count{call=\"",
                                             call, "\",model=\"cells\",version=\"1\"}")),
              count);
  }
}

TEST_F(ClassifyStreamTest, AnErrorIsAnsweredAndTheStreamGoesOn) {
  v1::ClassifyStreamRequest bad = Item(1);
  bad.mutable_request()->add_images()->set_encoded("no picture");
  v1::ClassifyStreamRequest missing = Item(2);
  missing.mutable_request()->set_model("others");
  v1::ClassifyStreamRequest empty;
  empty.set_id(3);
  for (const v1::ClassifyStreamRequest& item : {bad, missing, empty, Item(4)}) {
    EXPECT_TRUE(stream_->Write(item));
  }
  stream_->WritesDone();
  std::map<int64_t, v1::ClassifyStreamResponse> answers;
  v1::ClassifyStreamResponse answer;
  while (stream_->Read(&answer)) answers[answer.id()] = answer;
  EXPECT_TRUE(Finish().ok());
  EXPECT_EQ(answers[1].error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answers[1].error().message(), HasSubstr("images[1]"));
  EXPECT_GE(answers[1].error().details_size(), 2) << "ErrorInfo and BadRequest";
  EXPECT_EQ(answers[2].error().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(answers[3].error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(answers[4].has_response());
  const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
  for (const auto& [code, count] :
       std::map<std::string, int>{{"OK", 1}, {"NOT_FOUND", 1}, {"INVALID_ARGUMENT", 2}}) {
    EXPECT_EQ(MetricValue(text, "cytopress_stream_messages_total{code=\"" + code + "\"}"), count);
  }
}

// The C++ client sends a text that is no UTF-8 as it is.
TEST_F(ClassifyStreamTest, AMessageThatCannotBeReadIsAnsweredAndTheStreamGoesOn) {
  v1::ClassifyStreamRequest unreadable = Item(2);
  unreadable.mutable_request()->set_model("\xff");
  for (const v1::ClassifyStreamRequest& item : {Item(1), unreadable, Item(3)}) {
    EXPECT_TRUE(stream_->Write(item));
  }
  stream_->WritesDone();
  std::map<int64_t, v1::ClassifyStreamResponse> answers;
  v1::ClassifyStreamResponse answer;
  while (stream_->Read(&answer)) answers[answer.id()] = answer;
  EXPECT_TRUE(Finish().ok());
  EXPECT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[1].has_response());
  EXPECT_TRUE(answers[3].has_response());
  EXPECT_EQ(answers[2].error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answers[2].error().message(), HasSubstr("UTF-8"));
  google::rpc::ErrorInfo info;
  ASSERT_EQ(answers[2].error().details_size(), 1);
  EXPECT_TRUE(answers[2].error().details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "INVALID_FIELD");
}

// Requests that are refused without a computation, with answers that are longer than they and that
// no buffer on the way has room for.
TEST_F(ClassifyStreamTest, WhoReadsNoAnswersIsNotReadFrom) {
  constexpr int kItems = 20000;
  v1::ClassifyStreamRequest item;
  item.mutable_request()->set_model(std::string(1000, '!'));
  item.mutable_request()->add_images()->set_encoded("x");
  std::atomic<int> written{0};
  std::thread writer([&] {
    for (int i = 0; i < kItems; ++i) {
      if (!stream_->Write(item)) return;
      ++written;
    }
    stream_->WritesDone();
  });
  // Until the writer is stuck, and not only the machine.
  int before = 0;
  for (int looks = 0; looks < 4; ++looks) {
    absl::SleepFor(absl::Milliseconds(400));
    if (written > before) looks = 0;
    before = written;
  }
  EXPECT_GT(written, 0);
  EXPECT_LT(written, kItems);
  int answers = 0;
  v1::ClassifyStreamResponse answer;
  while (stream_->Read(&answer)) answers += answer.has_error() ? 1 : 0;
  writer.join();
  EXPECT_EQ(answers, kItems);
  EXPECT_TRUE(Finish().ok());
}

// What engines wait for.
class Gate {
 public:
  void SetOpen(bool open) {
    absl::MutexLock lock(&mutex_);
    open_ = open;
  }
  void Await() {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&open_), kPatience));
  }

 private:
  absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
};

class GatedEngine : public Engine {
 public:
  GatedEngine(std::unique_ptr<Engine> engine, Gate* gate)
      : engine_(std::move(engine)), gate_(gate) {}
  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    gate_->Await();
    return engine_->Classify(pixels, count, probabilities);
  }
  absl::StatusOr<std::unique_ptr<Engine>> Clone() override { return engine_->Clone(); }
  std::string name() const override { return engine_->name(); }
  int classes() const override { return engine_->classes(); }
  int64_t image_bytes() const override { return engine_->image_bytes(); }
  int preferred_batch() const override { return engine_->preferred_batch(); }

 private:
  const std::unique_ptr<Engine> engine_;
  Gate* const gate_;
};

// All streams together may hold one image, but not two.
class StreamMemoryTest : public ClassifyStreamTest {
 protected:
  void SetUp() override {
    ClassifyStreamTest::SetUp();
    CloseGate();
  }
  void TearDown() override {
    gate_.SetOpen(true);
    ClassifyStreamTest::TearDown();
  }
  void Configure(DaemonOptions* options) override {
    options->max_stream_bytes = 28 * 28 * 3 * 3 / 2;
    options->make_engine =
        [this](const Artifact& artifact,
               const EngineOptions& engine) -> absl::StatusOr<std::unique_ptr<Engine>> {
      absl::StatusOr<std::unique_ptr<Engine>> made = CreateEngine(artifact, engine);
      if (!made.ok()) return made;
      return std::make_unique<GatedEngine>(*std::move(made), &gate_);
    };
  }
  // Once the engine has done what came before.
  void CloseGate() {
    v1::ClassifyResponse last;
    ASSERT_TRUE(inference_->Classify(Context().get(), Item(1).request(), &last).ok());
    gate_.SetOpen(false);
  }
  // An item that is answered without an engine.
  static v1::ClassifyStreamRequest Wrong(int64_t id) {
    v1::ClassifyStreamRequest item = Item(id);
    item.mutable_request()->set_model_version(-1);
    return item;
  }

  Gate gate_;
};

TEST_F(StreamMemoryTest, WhatAllHoldKeepsEachFromReadingMoreThanOne) {
  v1::ClassifyStreamResponse answer;
  ASSERT_TRUE(stream_->Write(Item(1, /*images=*/2)));
  ASSERT_TRUE(stream_->Write(Wrong(2)));
  // The others may have one at a time all the same. By then the second item has come as well.
  const auto context = Context();
  const auto other = inference_->ClassifyStream(context.get());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(other->Write(Wrong(i)));
    ASSERT_TRUE(other->Read(&answer));
    EXPECT_EQ(answer.id(), i);
  }
  ASSERT_TRUE(other->Write(Item(20)));
  ASSERT_TRUE(other->Write(Wrong(21)));
  gate_.SetOpen(true);
  for (const int64_t id : {1, 2}) {
    ASSERT_TRUE(stream_->Read(&answer));
    EXPECT_EQ(answer.id(), id);
  }
  int64_t sum = 0;
  while (sum < 20 + 21 && other->Read(&answer)) sum += answer.id();
  EXPECT_EQ(sum, 20 + 21);
}

TEST_F(StreamMemoryTest, AStreamThatIsCutOffGivesBackWhatItHeld) {
  v1::ClassifyStreamResponse answer;
  ASSERT_TRUE(stream_->Write(Item(1)));
  ASSERT_TRUE(stream_->Write(Wrong(2)));
  ASSERT_TRUE(stream_->Read(&answer));
  EXPECT_EQ(answer.id(), 2);
  context_->TryCancel();
  EXPECT_EQ(Finish().error_code(), grpc::StatusCode::CANCELLED);
  gate_.SetOpen(true);
  CloseGate();
  const auto context = Context();
  const auto other = inference_->ClassifyStream(context.get());
  ASSERT_TRUE(other->Write(Item(3)));
  ASSERT_TRUE(other->Write(Wrong(4)));
  ASSERT_TRUE(other->Read(&answer));
  EXPECT_EQ(answer.id(), 4) << "it was read beside the one that is not answered";
  gate_.SetOpen(true);
  ASSERT_TRUE(other->Read(&answer));
  EXPECT_EQ(answer.id(), 3);
}

TEST_F(ClassifyStreamTest, AClientMayGiveUp) {
  for (int i = 0; i < 20; ++i) stream_->Write(Item(i, 8));
  context_->TryCancel();
  EXPECT_EQ(Finish().error_code(), grpc::StatusCode::CANCELLED);
  v1::ClassifyResponse alone;
  // The server goes on, and the queue is left to others.
  grpc::Status status;
  do {
    status = inference_->Classify(Context().get(), Item(7).request(), &alone);
  } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(ClassifyStreamTest, AServerThatStopsEndsTheStream) {
  EXPECT_TRUE(stream_->Write(Item(1)));
  v1::ClassifyStreamResponse answer;
  EXPECT_TRUE(stream_->Read(&answer));
  const absl::Time start = absl::Now();
  std::thread stopping([this] { daemon_->Shutdown(); });
  EXPECT_FALSE(stream_->Read(&answer));
  EXPECT_EQ(Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stopping.join();
  EXPECT_LT(absl::Now() - start, DaemonOptions().drain_patience);
}

// The messages of streams that `registry` counts.
double MessagesOf(const prometheus::Registry& registry) {
  double messages = 0;
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    if (family.name != "cytopress_stream_messages_total") continue;
    for (const prometheus::ClientMetric& metric : family.metric) messages += metric.counter.value;
  }
  return messages;
}

// gRPC may hand over what it had read by then. The test calls as it does; without a call, nothing
// is sent.
TEST(ClassifyStreamReactorTest, AMessageThatComesAfterTheEndIsNotTaken) {
  for (const bool client_is_gone : {true, false}) {
    prometheus::Registry registry;
    RequestMetrics metrics(&registry, RealClock());
    ClassifyStreams streams(/*max_bytes=*/1 << 20, /*observer=*/nullptr);
    grpc::CallbackServerContext context;
    ClassifyStreamReactor* const reactor =
        ClassifyStreamReactor::Start(/*pipeline=*/nullptr, &streams, &metrics, &context);
    if (client_is_gone) {
      reactor->OnCancel();
    } else {
      streams.Stop();
    }
    reactor->OnReadDone(true);
    EXPECT_EQ(MessagesOf(registry), 0) << "it would be answered when the call may be gone";
    reactor->OnDone();
  }
}

}  // namespace
}  // namespace cytopress
