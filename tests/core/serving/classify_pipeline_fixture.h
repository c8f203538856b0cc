// A pipeline of fakes, and what is sent through it.
#ifndef CYTOPRESS_TESTS_CORE_SERVING_CLASSIFY_PIPELINE_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_SERVING_CLASSIFY_PIPELINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/serving/classify_pipeline.h"
#include "tests/core/serving/fakes.h"
#include "tests/eventually.h"

namespace cytopress {

// An image as small as the fake network's input.
inline InputImage Raw(const std::string& pixels) {
  InputImage image;
  image.raw = true;
  image.bytes = pixels;
  image.width = kFakeSide;
  image.height = kFakeSide;
  image.channels = 1;
  return image;
}

inline std::string Pixels(int first) { return std::string(1, static_cast<char>(first)) + "\1\1\1"; }

using Answer = Promised<absl::StatusOr<ClassifyOutcome>>;

class ClassifyPipelineTest : public testing::Test {
 protected:
  ClassifyPipelineTest() {
    options_.decode_threads = 2;
    options_.admission.max_waiting_images = 4;
  }
  ~ClassifyPipelineTest() override {
    puppet_.LetAllGo();
    loader_.Hold(false);
    loader_.HoldLooks(false);
    LetDecoderGo();
  }

  ClassifyPipeline& pipeline() {
    if (pipeline_ == nullptr) {
      pipeline_ = std::make_unique<ClassifyPipeline>(options_, &loader_, &observer_, RealClock());
    }
    return *pipeline_;
  }

  // A decoder does `work`: the end of a request that it refuses. It is bulk work of one image,
  // which nobody but a decoder takes.
  void OnDecoder(std::function<void()> work) {
    ClassifyTask task;
    task.model.name = "m";
    task.images = {Raw(one_)};
    task.top_k = kFakeClasses + 1;
    task.bulk = true;
    task.done = [work = std::move(work)](const absl::StatusOr<ClassifyOutcome>& refused) {
      EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
      work();
    };
    pipeline().Submit(std::move(task));
  }
  // Keeps a decoder from what is sent from now on, until it is let go. Once a test.
  void HoldDecoder() {
    OnDecoder([this] {
      decoder_is_held_.Notify();
      EXPECT_TRUE(decoder_may_go_.WaitForNotificationWithTimeout(kPatience));
    });
    EXPECT_TRUE(decoder_is_held_.WaitForNotificationWithTimeout(kPatience));
  }
  void LetDecoderGo() {
    if (!decoder_may_go_.HasBeenNotified()) decoder_may_go_.Notify();
  }

  std::shared_ptr<Answer> Send(ClassifyTask task) {
    auto answer = std::make_shared<Answer>();
    task.done = [answer](absl::StatusOr<ClassifyOutcome> outcome) {
      answer->Set(std::move(outcome));
    };
    pipeline().Submit(std::move(task));
    return answer;
  }
  std::shared_ptr<Answer> Send(std::vector<InputImage> images, const std::string& model = "m") {
    ClassifyTask task;
    task.model.name = model;
    task.images = std::move(images);
    return Send(std::move(task));
  }
  static std::vector<int> Classes(const ClassifyOutcome& outcome) {
    std::vector<int> classes;
    for (size_t i = 0; i < outcome.probabilities.size(); ++i) {
      if (outcome.probabilities[i] == 1) classes.push_back(i % kFakeClasses);
    }
    return classes;
  }

  const std::string one_ = Pixels(1), two_ = Pixels(2), three_ = Pixels(3);
  ClassifyPipelineOptions options_;
  Puppet puppet_;
  FakeModelLoader loader_{&puppet_};
  CountingObserver observer_;
  absl::Notification decoder_is_held_, decoder_may_go_;
  std::unique_ptr<ClassifyPipeline> pipeline_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_SERVING_CLASSIFY_PIPELINE_FIXTURE_H_
