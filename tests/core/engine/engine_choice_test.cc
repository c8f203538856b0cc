#include "core/engine/engine_choice.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

namespace cytopress {
namespace {

// Takes as long as it is told.
class SlowEngine : public Engine {
 public:
  SlowEngine(std::string name, int alone_us, int batch_us)
      : name_(std::move(name)), alone_us_(alone_us), batch_us_(batch_us) {}

  absl::Status Classify(absl::Span<const uint8_t>, int count, absl::Span<float>) override {
    const std::chrono::microseconds wanted(count == 1 ? alone_us_ : batch_us_);
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < wanted) {
    }
    return absl::OkStatus();
  }
  std::string name() const override { return name_; }
  int classes() const override { return 2; }
  int64_t image_bytes() const override { return 4; }
  int preferred_batch() const override { return 32; }

 private:
  const std::string name_;
  const int alone_us_;
  const int batch_us_;
};

std::string NameOfFaster(int alone_us_a, int batch_us_a, int alone_us_b, int batch_us_b,
                         const std::string& certified = "") {
  return Faster(std::make_unique<SlowEngine>("a", alone_us_a, batch_us_a),
                std::make_unique<SlowEngine>("b", alone_us_b, batch_us_b), certified)
      ->name();
}

TEST(EngineChoiceTest, TheFasterOneServes) {
  EXPECT_EQ(NameOfFaster(100, 100, 3000, 3000), "a");
  EXPECT_EQ(NameOfFaster(3000, 3000, 100, 100), "b");
}

TEST(EngineChoiceTest, BothBatchSizesCount) {
  EXPECT_EQ(NameOfFaster(100, 8000, 8000, 4000), "a");
  EXPECT_EQ(NameOfFaster(8000, 4000, 100, 8000), "b");
}

TEST(EngineChoiceTest, TheCertifiedOneServesUnlessTheOtherIsFaster) {
  EXPECT_EQ(NameOfFaster(2040, 2040, 2000, 2000, "a"), "a");
  EXPECT_EQ(NameOfFaster(2000, 2000, 2040, 2040, "b"), "b");
  EXPECT_EQ(NameOfFaster(3000, 3000, 2000, 2000, "a"), "b");
  EXPECT_EQ(NameOfFaster(2000, 2000, 3000, 3000, "b"), "a");
  EXPECT_EQ(NameOfFaster(2200, 2200, 2000, 2000, "onednn-fp32"), "b") << "of another time";
}

DenseModel ModelOf(std::vector<int8_t> weights) {
  DenseModel model;
  model.convolutions.resize(2);
  model.convolutions[1].integer_weights = std::move(weights);
  return model;
}

TEST(EngineChoiceTest, SkippingNeedsZeros) {
  EXPECT_FALSE(MaySkip(ModelOf({1, 2, 3, 0})));
  EXPECT_TRUE(MaySkip(ModelOf({1, 0, 0, 0})));
}

}  // namespace
}  // namespace cytopress
