#include "core/serving/classify_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"
#include "tests/core/serving/classify_pipeline_fixture.h"
#include "tests/core/serving/fakes.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ClassifyPipelineTest, ClassifiesInTheOrderOfTheImages) {
  const auto answer = Send({Raw(three_), Raw(one_), Raw(two_)});
  ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
  EXPECT_THAT(Classes(*answer->Get()), ElementsAre(3, 1, 2));
  EXPECT_EQ(answer->Get()->model->version, (ModelVersion{"m", 1}));
  EXPECT_GE(answer->Get()->timing.queue, absl::ZeroDuration());
  EXPECT_EQ(observer_.classified(), 3);
  EXPECT_EQ(observer_.batched(), 3);
  answer->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, DecodesAndScalesWhatIsNotRaw) {
  Image image{8, 8, 3, std::vector<uint8_t>(8 * 8 * 3, 2)};
  const absl::StatusOr<std::string> png = EncodePng(image);
  ASSERT_TRUE(png.ok());
  InputImage encoded;
  encoded.bytes = *png;
  InputImage large = encoded;
  const std::string pixels(image.pixels.begin(), image.pixels.end());
  large.raw = true;
  large.bytes = pixels;
  large.width = large.height = 8;
  large.channels = 3;
  const auto answer = Send({encoded, large});
  ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
  EXPECT_THAT(Classes(*answer->Get()), ElementsAre(2, 2));
  answer->Get() = absl::CancelledError();
}

// Lone ones, once the model is in memory: decoded where they arrive, or not if they turn out large.
TEST_F(ClassifyPipelineTest, DecodesSmallFilesOfSmallAndLargeImages) {
  EXPECT_TRUE(Send({Raw(one_)})->Get().ok());
  for (const int side : {8, 300}) {
    InputImage encoded;
    const std::string png =
        EncodePng({side, side, 3, std::vector<uint8_t>(side * side * 3, 3)}).value();
    encoded.bytes = png;
    ASSERT_LT(png.size(), 10000u);
    const auto answer = Send({encoded});
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    EXPECT_THAT(Classes(*answer->Get()), ElementsAre(3)) << side;
    encoded.bytes = absl::string_view(png).substr(0, png.size() / 2);
    const auto broken = Send({encoded});
    EXPECT_EQ(broken->Get().status().code(), absl::StatusCode::kInvalidArgument) << side;
    EXPECT_EQ(BadRequestOf(broken->Get().status()).field_violations(0).field(), "images[0]");
    answer->Get() = absl::CancelledError();
  }
}

// A compressed text, as it may stand after a PNG's header.
constexpr char kCompressedText[] = "0000000f7a5458746b0000789c2b49ad280100046701c6e0a8b410";
constexpr size_t kPngHeaderBytes = 33;

TEST_F(ClassifyPipelineTest, ASmallFileNeedsNoDecoderWhateverElseItHolds) {
  options_.decode_threads = 1;
  EXPECT_TRUE(Send({Raw(one_)})->Get().ok());
  HoldDecoder();
  const std::string plain = EncodePng({2, 2, 1, std::vector<uint8_t>(4, 1)}).value();
  std::string with_text = plain;
  with_text.insert(kPngHeaderBytes, absl::HexStringToBytes(kCompressedText));
  for (const std::string& file : {plain, with_text}) {
    InputImage small;
    small.bytes = file;
    const auto answer = Send({small});
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    EXPECT_THAT(Classes(*answer->Get()), ElementsAre(1));
    answer->Get() = absl::CancelledError();
  }
  LetDecoderGo();
}

TEST_F(ClassifyPipelineTest, RefusesAtOnceWhenTheQueueIsFull) {
  puppet_.Hold();
  const auto computing = Send({Raw(one_)});
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  const auto waiting = Send({Raw(one_), Raw(one_), Raw(one_)});
  EXPECT_EQ(pipeline().waiting_images(), 3);
  const auto refused = Send({Raw(one_), Raw(one_)});
  ASSERT_TRUE(refused->IsSet()) << "the answer must not wait";
  EXPECT_EQ(refused->Get().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelayOf(refused->Get().status()).has_value());
  EXPECT_EQ(ErrorInfoOf(refused->Get().status()).reason(), "QUEUE_FULL");
  puppet_.LetAllGo();
  EXPECT_TRUE(computing->Get().ok());
  EXPECT_TRUE(waiting->Get().ok());
  EXPECT_EQ(pipeline().waiting_images(), 0);
  computing->Get() = absl::CancelledError();
  waiting->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, BoundsTheBytesThatRequestsHold) {
  constexpr int kImage = 4 + 4 + 4 * kFakeClasses;  // bytes sent, of input and of output
  options_.admission.max_bytes = 3 * kImage - 1;
  puppet_.Hold();
  const auto first = Send({Raw(one_)});
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  const auto second = Send({Raw(one_), Raw(one_)});  // do not fit, now
  EXPECT_EQ(second->Get().status().code(), absl::StatusCode::kResourceExhausted);
  // A refusal is answered before what the request held is given back.
  ASSERT_TRUE(Eventually([this] { return pipeline().waiting_images() == 0; }));
  const auto third = Send({Raw(one_), Raw(one_), Raw(one_)});  // never fit
  EXPECT_EQ(third->Get().status().code(), absl::StatusCode::kInvalidArgument);
  puppet_.LetAllGo();
  EXPECT_TRUE(first->Get().ok());
  first->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, WhatNeverFitsDoesNotCountAsRefusedForNow) {
  options_.admission.max_bytes = 50;
  const auto sent = Send({Raw(std::string(51, '\1'))});
  const auto with_inputs = Send({Raw(one_), Raw(one_), Raw(one_)});
  for (const auto& answer : {sent, with_inputs}) {
    EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ErrorInfoOf(answer->Get().status()).reason(), "REQUEST_TOO_LARGE");
  }
  EXPECT_EQ(observer_.refused(), 0);
  EXPECT_TRUE(pipeline().Drain(kPatience));
  EXPECT_EQ(ErrorInfoOf(Send({Raw(one_)})->Get().status()).reason(), "SHUTTING_DOWN");
  EXPECT_EQ(observer_.refused(), 1);
}

TEST_F(ClassifyPipelineTest, NamesEveryBadImage) {
  InputImage bad;
  bad.bytes = "no picture";
  const auto answer = Send({Raw(one_), bad, Raw(two_), bad});
  const absl::Status status = answer->Get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("images[1]"));
  ASSERT_EQ(BadRequestOf(status).field_violations_size(), 2);
  EXPECT_EQ(BadRequestOf(status).field_violations(0).field(), "images[1]");
  EXPECT_EQ(BadRequestOf(status).field_violations(1).field(), "images[3]");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "INVALID_FIELD");
  EXPECT_EQ(observer_.batched(), 0);
}

TEST_F(ClassifyPipelineTest, AnImageOverTheLimitIsTheClientsFault) {
  options_.decode.max_pixels = 10;
  const absl::StatusOr<std::string> png = EncodePng({4, 4, 1, std::vector<uint8_t>(16)});
  ASSERT_TRUE(png.ok());
  InputImage large;
  large.bytes = *png;
  const auto answer = Send({large});
  EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(answer->Get().status().message()), HasSubstr("--max-image-megapixels"));
  EXPECT_FALSE(RetryDelayOf(answer->Get().status()).has_value());
}

TEST_F(ClassifyPipelineTest, ChecksTopKAgainstTheModel) {
  ClassifyTask task;
  task.model.name = "m";
  task.images = {Raw(one_)};
  task.top_k = kFakeClasses + 1;
  const auto answer = Send(std::move(task));
  EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BadRequestOf(answer->Get().status()).field_violations(0).field(), "top_k");
  EXPECT_EQ(ErrorInfoOf(answer->Get().status()).reason(), "INVALID_FIELD");
}

// A decoder looks after others every eight images: here it hears of the cancelling then.
TEST_F(ClassifyPipelineTest, WhatIsCancelledWhileItIsDecodedIsNotDecodedToItsEnd) {
  options_.versions_fresh_for = absl::InfiniteDuration();
  options_.decode_threads = 1;
  options_.admission.max_waiting_images = 64 + 2;
  EXPECT_TRUE(Send({Raw(one_)})->Get().ok());
  HoldDecoder();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  InputImage bad;
  bad.bytes = "no picture";
  ClassifyTask task;
  task.model.name = "m";
  task.images.assign(8, Raw(one_));
  task.images.resize(64, bad);
  task.cancelled = cancelled;
  const auto answer = Send(std::move(task));
  OnDecoder([cancelled] { *cancelled = true; });
  LetDecoderGo();
  EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kCancelled)
      << "the bad ones are not looked at";
  EXPECT_EQ(observer_.batched(), 1);
}

TEST_F(ClassifyPipelineTest, AnExpiredDeadlineIsNotComputed) {
  ClassifyTask task;
  task.model.name = "m";
  task.images = {Raw(one_)};
  task.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(Send(std::move(task))->Get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(observer_.batched(), 0);
}

TEST_F(ClassifyPipelineTest, DrainAnswersTheOldAndRefusesTheNew) {
  puppet_.Hold();
  const auto old = Send({Raw(one_)});
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  EXPECT_FALSE(pipeline().Drain(absl::ZeroDuration()));
  const auto fresh = Send({Raw(one_)});
  ASSERT_TRUE(fresh->IsSet());
  EXPECT_EQ(fresh->Get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorInfoOf(fresh->Get().status()).reason(), "SHUTTING_DOWN");
  puppet_.LetAllGo();
  EXPECT_TRUE(pipeline().Drain(kPatience));
  EXPECT_TRUE(old->Get().ok());
  old->Get() = absl::CancelledError();
}

// For the thread sanitizer above all: models come and go while many threads classify with them.
TEST_F(ClassifyPipelineTest, StandsAStorm) {
  constexpr int kThreads = 6;
  constexpr int kRequests = 150;
  options_.admission.max_waiting_images = 1000;
  options_.models.max_loaded = 2;
  FakeModelLoader loader(&puppet_, /*engines=*/2, /*preferred_batch=*/4);
  ClassifyPipeline pipeline(options_, &loader, &observer_, RealClock());
  std::atomic<int> right{0};
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i < kRequests; ++i) {
        const std::vector<std::string> pixels = {Pixels(i), Pixels(i + 1)};
        ClassifyTask task;
        task.model.name = absl::StrCat("m", (i / 10 + t) % 3);
        task.images.assign(i % 5 + 1, Raw(pixels[0]));
        task.images.back() = Raw(pixels[1]);
        const size_t images = task.images.size();
        auto answer = std::make_shared<Promised<bool>>();
        task.done = [&, answer, images, i](const absl::StatusOr<ClassifyOutcome>& outcome) {
          answer->Set(outcome.ok() && Classes(*outcome).size() == images &&
                      Classes(*outcome).back() == (i + 1) % kFakeClasses);
        };
        pipeline.Submit(std::move(task));
        if (answer->Get()) ++right;
      }
    });
  }
  for (int i = 0; i < 50; ++i) pipeline.models()->Unload({"m0", 1});
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(right, kThreads * kRequests);
  EXPECT_EQ(pipeline.waiting_images(), 0);
}

}  // namespace
}  // namespace cytopress
