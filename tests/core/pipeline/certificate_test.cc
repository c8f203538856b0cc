#include "core/pipeline/certificate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/compression/encoding.h"
#include "core/compression/scoring.h"
#include "core/pipeline/publishing.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// A parent in the registry that is right on no image, says its file, whatever its weights are.
class CertificateTest : public PipelineTest {
 protected:
  CertificateTest() : state_(spec_, context_, torch::kCPU) {
    context_.registry = registry_.get();
    state_.dataset = SpotDataset();
    state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20"));
    artifact_ = DescribeArtifact(state_, v1::WEIGHT_TYPE_FP16);
    artifact_.tensors = EncodeFloats(state_.network->Export(), v1::WEIGHT_TYPE_FP16);
    measured_ = *EvaluateArtifact(artifact_, state_.dataset, "test", {});
  }

  void PublishParent(const std::string& dataset_hash, const std::string& right) {
    Artifact parent = artifact_;
    parent.provenance.set_dataset_hash(dataset_hash);
    v1::Evaluation test = measured_;
    test.set_accuracy(0);
    test.set_right(right);
    parent.evaluations = {test};
    state_.parent.name =
        ToString(*registry_->Publish("parent", *SerializeArtifact(parent), "job-0"));
  }

  v1::Certificate Certified(const v1::Evaluation& test) {
    const absl::StatusOr<v1::Certificate> certificate = Certify(state_, artifact_, test);
    EXPECT_TRUE(certificate.ok()) << certificate.status();
    return certificate.value_or(v1::Certificate());
  }

  v1::JobSpec spec_;
  PipelineContext context_;
  PipelineState state_;
  Artifact artifact_;
  v1::Evaluation measured_;
};

TEST_F(CertificateTest, AParentThatWasMeasuredOnTheseDataIsNotMeasuredAgain) {
  PublishParent(state_.dataset.content_hash, std::string(8, '\0'));
  v1::Evaluation test = measured_;
  test.set_right(std::string("\x03", 1) + std::string(7, '\0'));
  const v1::Certificate certificate = Certified(test);
  EXPECT_EQ(certificate.parent(), "parent@1");
  EXPECT_EQ(certificate.parent_test().accuracy(), 0);
  EXPECT_EQ(certificate.only_model_right(), 2);
  EXPECT_EQ(certificate.only_parent_right(), 0);
  EXPECT_TRUE(certificate.parent_test().right().empty());
}

TEST_F(CertificateTest, AParentOfOtherDataOrWithoutItsBitsIsMeasuredNow) {
  for (const bool other_data : {true, false}) {
    PublishParent(other_data ? "others" : state_.dataset.content_hash,
                  other_data ? std::string(8, '\0') : "");
    const v1::Certificate certificate = Certified(measured_);
    EXPECT_EQ(certificate.parent_test().accuracy(), measured_.accuracy()) << other_data;
    EXPECT_EQ(certificate.only_model_right(), 0) << "it is the same model";
    EXPECT_EQ(certificate.only_parent_right(), 0);
    EXPECT_EQ(certificate.mcnemar_p_value(), 1);
  }
}

TEST_F(CertificateTest, IsNotMadeWhenItIsToStop) {
  PublishParent("others", std::string(8, '\0'));
  for (const int stop_at : {1, 3}) {  // while the parent is measured, and the time of an image
    int calls = 0;
    const auto certificate = Certify(state_, artifact_, measured_, [&](double) {
      return ++calls < stop_at ? absl::OkStatus() : absl::CancelledError("stop");
    });
    EXPECT_TRUE(absl::IsCancelled(certificate.status())) << certificate.status();
    EXPECT_EQ(calls, stop_at);
  }
}

TEST_F(CertificateTest, ItsLatencyIsAMedianOfWhatItTakes) {
  const absl::Duration start = RealClock()->Steady();
  const double latency = Certified(measured_).latency_seconds();
  EXPECT_GT(latency, 0);
  // Of 31 timings, 16 take as long as their median or longer.
  EXPECT_LE(16 * latency, absl::ToDoubleSeconds(RealClock()->Steady() - start));
}

TEST_F(CertificateTest, TheLowestRecallIsOfAClassWithImages) {
  const auto lowest = [this](std::vector<double> recalls) {
    v1::Evaluation test = measured_;
    test.clear_class_recall();
    for (const double recall : recalls) test.add_class_recall(recall);
    const v1::Certificate certificate = Certified(test);
    return std::pair<int, double>(certificate.lowest_recall_class(), certificate.lowest_recall());
  };
  EXPECT_EQ(lowest({kNone, 0.9, 0.4, kNone, 0.7}), std::pair(2, 0.4));
  EXPECT_EQ(lowest({0.5, 0.9, 0.5}), std::pair(0, 0.5)) << "of equal ones the first";
  EXPECT_EQ(lowest({kNone, 1, 1}), std::pair(1, 1.0));
}

}  // namespace
}  // namespace cytopress
