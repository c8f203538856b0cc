#include "core/serving/classify_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
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

TEST_F(ClassifyPipelineTest, AFileThatHoldsMoreThanPixelsIsLeftToTheDecoders) {
  options_.decode_threads = 1;
  EXPECT_TRUE(Send({Raw(one_)})->Get().ok());
  HoldDecoder();
  const std::string plain = EncodePng({2, 2, 1, std::vector<uint8_t>(4, 1)}).value();
  std::string with_text = plain;
  with_text.insert(kPngHeaderBytes, absl::HexStringToBytes(kCompressedText));
  InputImage small, expanding;
  small.bytes = plain;
  expanding.bytes = with_text;
  const auto waiting = Send({expanding});
  EXPECT_TRUE(Send({small})->Get().ok()) << "it needs no decoder";
  EXPECT_FALSE(waiting->IsSet());
  LetDecoderGo();
  ASSERT_TRUE(waiting->Get().ok()) << waiting->Get().status();
  EXPECT_THAT(Classes(*waiting->Get()), ElementsAre(1));
  waiting->Get() = absl::CancelledError();
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

// A PNG of 2^30 x 60000 pixels, which no address space has room for.
constexpr char kEndless[] =
    "89504e470d0a1a0a0000000d49484452400000000000ea600802000000a6408ced0000000b49444154789c63"
    "6080000000080001b75873950000000049454e44ae426082";

// More bytes than there are addresses for.
constexpr int64_t kTooManyBytes = int64_t{1} << 60;

class OutOfMemoryTest : public ClassifyPipelineTest {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "they end the process instead";
#endif
    options_.decode.max_pixels = std::numeric_limits<int64_t>::max();
    options_.admission.max_bytes = std::numeric_limits<int64_t>::max();
  }

  void ExpectOutOfMemory(const InputImage& image) {
    for (int i = 1; i <= 2; ++i) {  // the model is loaded, and in memory
      const auto answer = Send({image});
      const absl::Status status = answer->Get().status();
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_EQ(ErrorInfoOf(status).reason(), "OUT_OF_MEMORY");
      EXPECT_TRUE(RetryDelayOf(status).has_value());
      EXPECT_EQ(observer_.refused(), i);
    }
  }
};

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoSendsALargeFile) {
  const std::string png = absl::HexStringToBytes(kEndless);
  InputImage endless;
  endless.bytes = png;
  ExpectOutOfMemory(endless);
}

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoSendsManyRawPixels) {
  InputImage endless = Raw(one_);
  endless.bytes = absl::string_view(one_.data(), kTooManyBytes);  // nothing reads them
  endless.width = 1 << 30;
  endless.height = 1 << 30;
  ExpectOutOfMemory(endless);
}

// Its images are so large that there is no room for one.
class EndlessEngine : public PuppetEngine {
 public:
  using PuppetEngine::PuppetEngine;
  int64_t image_bytes() const override { return kTooManyBytes; }
};

class EndlessModelLoader : public FakeModelLoader {
 public:
  explicit EndlessModelLoader(Puppet* puppet) : FakeModelLoader(puppet), puppet_(puppet) {}
  absl::StatusOr<LoadedModel> Load(const ModelVersion& version) override {
    absl::StatusOr<LoadedModel> model = FakeModelLoader::Load(version);
    model->engines[0] = std::make_unique<EndlessEngine>(puppet_, kFakeBatch);
    return model;
  }

 private:
  Puppet* const puppet_;
};

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoUsesALargeNetwork) {
  EndlessModelLoader loader(&puppet_);
  pipeline_ = std::make_unique<ClassifyPipeline>(options_, &loader, &observer_, RealClock());
  ExpectOutOfMemory(Raw(one_));
  pipeline_.reset();
}

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoUsesAModelThatFindsNone) {
  loader_.Fail(absl::ResourceExhaustedError("no memory to load m@1"));
  ExpectOutOfMemory(Raw(one_));
}

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoseBatchFindsNone) {
  puppet_.FailNext(absl::ResourceExhaustedError("no memory for the network's activations"));
  const auto answer = Send({Raw(one_)});
  EXPECT_EQ(ErrorInfoOf(answer->Get().status()).reason(), "OUT_OF_MEMORY");
  EXPECT_TRUE(RetryDelayOf(answer->Get().status()).has_value());
}

TEST_F(ClassifyPipelineTest, ChecksTopKAgainstTheModel) {
  ClassifyTask task;
  task.model.name = "m";
  task.images = {Raw(one_)};
  task.top_k = kFakeClasses + 1;
  const auto answer = Send(std::move(task));
  EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BadRequestOf(answer->Get().status()).field_violations(0).field(), "top_k");
}

TEST_F(ClassifyPipelineTest, SaysThatAModelIsNotThere) {
  EXPECT_EQ(Send({Raw(one_)}, "missing")->Get().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClassifyPipelineTest, SaysThatAModelCannotBeLoaded) {
  loader_.Fail(absl::DataLossError("damaged"));
  EXPECT_EQ(Send({Raw(one_)})->Get().status(), absl::DataLossError("damaged"));
}

TEST_F(ClassifyPipelineTest, ManyRequestsAskTheRegistryOnce) {
  options_.versions_fresh_for = absl::InfiniteDuration();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Send({Raw(one_)})->Get().ok());
  EXPECT_EQ(loader_.looks(), 1 + 1) << "and the host, before it loads";
}

TEST_F(ClassifyPipelineTest, ARegistryThatStallsHoldsUpNoModelThatIsInMemory) {
  options_.versions_fresh_for = absl::ZeroDuration();  // every answer is old at once
  options_.decode_threads = 1;
  options_.admission.max_waiting_images = 4;
  ASSERT_TRUE(Send({Raw(one_)})->Get().ok());
  loader_.HoldLooks(true);
  const auto looking = Send({Raw(one_)});
  ASSERT_TRUE(loader_.AwaitLooks(2 + 1));
  EXPECT_TRUE(Send({Raw(two_)})->Get().ok()) << "decoded by who sends it";
  EXPECT_TRUE(Send({Raw(two_), Raw(three_)})->Get().ok()) << "by a decoder";
  const auto unknown = Send({Raw(one_)}, "another");
  EXPECT_TRUE(Send({Raw(one_), Raw(two_), Raw(three_)})->Get().ok())
      << "who waits for a look takes no place in the queue";
  EXPECT_FALSE(looking->IsSet());
  EXPECT_FALSE(unknown->IsSet());
  loader_.HoldLooks(false);
  for (const auto& answer : {looking, unknown}) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(ClassifyPipelineTest, WaitsForAModelWithoutHoldingUpOthers) {
  options_.admission.max_waiting_images = 6;
  const auto warm = Send({Raw(one_)}, "warm");
  ASSERT_TRUE(warm->Get().ok());
  loader_.Hold(true);
  std::vector<std::shared_ptr<Answer>> cold;
  for (int i = 0; i < 3; ++i) cold.push_back(Send({Raw(two_)}, "cold"));
  ASSERT_TRUE(loader_.AwaitLoads("cold@1", 1));
  const auto meanwhile = Send({Raw(three_)}, "warm");
  ASSERT_TRUE(meanwhile->Get().ok());
  for (const auto& answer : cold) EXPECT_FALSE(answer->IsSet());
  loader_.Hold(false);
  for (const auto& answer : cold) {
    ASSERT_TRUE(answer->Get().ok());
    EXPECT_THAT(Classes(*answer->Get()), ElementsAre(2));
    answer->Get() = absl::CancelledError();
  }
  warm->Get() = absl::CancelledError();
  meanwhile->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, AFloodForAModelThatIsLoadedLeavesTheQueueToOthers) {
  options_.admission.max_waiting_images = 8;
  ASSERT_TRUE(Send({Raw(one_)}, "warm")->Get().ok());
  loader_.Hold(true);
  ClassifyTask task;
  task.model.name = "cold";
  task.images.assign(4, Raw(two_));
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  task.cancelled = cancelled;
  const auto cold = Send(std::move(task));
  ASSERT_TRUE(loader_.AwaitLoads("cold@1", 1));
  EXPECT_EQ(pipeline().waiting_images(), 0);
  const auto refused = Send({Raw(two_)}, "cold");
  EXPECT_EQ(ErrorInfoOf(refused->Get().status()).reason(), "QUEUE_FULL");
  EXPECT_EQ(observer_.refused(), 1);
  // A refusal is answered before what the request held is given back.
  ASSERT_TRUE(Eventually([this] { return pipeline().waiting_images() == 0; }));
  const auto warm = Send(std::vector<InputImage>(8, Raw(three_)), "warm");
  ASSERT_TRUE(warm->Get().ok()) << warm->Get().status();
  warm->Get() = absl::CancelledError();
  // Where nobody waits any more there is room.
  *cancelled = true;
  const auto next = Send({Raw(two_)}, "cold");
  EXPECT_EQ(cold->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(next->IsSet());
  loader_.Hold(false);
  ASSERT_TRUE(next->Get().ok()) << next->Get().status();
  next->Get() = absl::CancelledError();
  EXPECT_EQ(observer_.batched(), 1 + 8 + 1);
}

TEST_F(ClassifyPipelineTest, BulkWorkForAModelThatIsLoadedLeavesOthersTheirTurn) {
  options_.admission.max_waiting_images_for_bulk = 4;
  ASSERT_TRUE(Send({Raw(one_)}, "warm")->Get().ok());
  loader_.Hold(true);
  const auto send_bulk = [this](const std::string& model) {
    ClassifyTask task;
    task.model.name = model;
    task.images.assign(4, Raw(two_));
    task.bulk = true;
    return Send(std::move(task));
  };
  std::vector<std::shared_ptr<Answer>> answers;
  answers.push_back(send_bulk("cold"));
  answers.push_back(send_bulk("warm"));
  EXPECT_TRUE(answers.back()->Get().ok());
  EXPECT_FALSE(answers[0]->IsSet());
  loader_.Hold(false);
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(ClassifyPipelineTest, DropsWhatHasExpiredWhileItsModelWasLoaded) {
  loader_.Hold(true);
  ClassifyTask task;
  task.model.name = "m";
  task.images = {Raw(one_)};
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  task.cancelled = cancelled;
  const auto answer = Send(std::move(task));
  ASSERT_TRUE(loader_.AwaitLoads("m@1", 1));
  *cancelled = true;
  loader_.Hold(false);
  EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(observer_.batched(), 0);
}

// A decoder looks after others every eight images: here it hears of the cancelling then.
TEST_F(ClassifyPipelineTest, WhatIsCancelledWhileItIsDecodedIsNotDecodedToItsEnd) {
  options_.decode_threads = 1;
  options_.admission.max_waiting_images = 64;
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
  pipeline().Preload({"m", 0}, [cancelled](const absl::Status&) { *cancelled = true; });
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
  puppet_.LetAllGo();
  EXPECT_TRUE(pipeline().Drain(kPatience));
  EXPECT_TRUE(old->Get().ok());
  old->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, TheNewestIsAnsweredByTheOneBeforeUntilItIsLoaded) {
  const auto version_of = [this] {
    const auto answer = Send({Raw(one_)});
    const int64_t version = answer->Get().ok() ? answer->Get()->model->version.version : -1;
    answer->Get() = absl::CancelledError();
    return version;
  };
  EXPECT_EQ(version_of(), 1);
  loader_.Hold(true);
  loader_.SetNewest(2);
  EXPECT_EQ(version_of(), 1);
  loader_.Hold(false);
  Promised<absl::Status> loaded;
  pipeline().Preload({"m", 0}, [&](const absl::Status& status) { loaded.Set(status); });
  EXPECT_EQ(loaded.Get(), absl::OkStatus());
  EXPECT_EQ(version_of(), 2);

  // Version 2 is deleted: it answers on until version 1 is back.
  loader_.Hold(true);
  loader_.SetNewest(1);
  pipeline().OnDeleted({"m", 2});
  ASSERT_TRUE(loader_.AwaitLoads("m@1", 2));
  EXPECT_EQ(version_of(), 2);
  loader_.Hold(false);
  ASSERT_TRUE(Eventually([this] { return pipeline().models()->Find({"m", 1}) != nullptr; }));
  EXPECT_EQ(version_of(), 1);
}

TEST_F(ClassifyPipelineTest, WhereAVersionWasDeletedBeforeItsLoadTheOneBeforeAnswers) {
  loader_.SetNewest(2);
  loader_.FailOne("m@2", absl::NotFoundError("m@2 was deleted"));
  loader_.Hold(true);
  const auto answer = Send({Raw(one_)});
  ASSERT_TRUE(loader_.AwaitLoads("m@2", 1));
  loader_.SetNewest(1);
  loader_.Hold(false);
  ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
  EXPECT_EQ(answer->Get()->model->version.version, 1);
  answer->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, WhatIsDeletedAgainAndAgainIsNotLookedForWithoutEnd) {
  loader_.FailOne("m@1", absl::NotFoundError("m@1 was deleted"));
  EXPECT_EQ(Send({Raw(one_)})->Get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loader_.looks(), 3 + 1) << "and the host, before it loads";
  // Who asks for a version by its number means no other.
  ClassifyTask task;
  task.model = {"m", 1};
  task.images = {Raw(one_)};
  EXPECT_EQ(Send(std::move(task))->Get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loader_.looks(), 5);
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
