#include <gtest/gtest.h>

#include "core/artifact/artifact.h"

namespace cytopress {
namespace {

TEST(ConvertTest, NetworkSpecReturns) {
  for (const Stem stem : {Stem::kImagenet, Stem::kCifar, Stem::kStride2}) {
    NetworkSpec spec;
    spec.architecture = "resnet34";
    spec.stem = stem;
    spec.classes = 5;
    spec.input_channels = 1;
    spec.input_height = 30;
    spec.input_width = 40;
    const absl::StatusOr<NetworkSpec> back = FromProto(ToProto(spec));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(*back == spec);
  }
}

TEST(ConvertTest, UnsetFieldsTakeTheirDefaults) {
  const absl::StatusOr<NetworkSpec> spec = FromProto(v1::NetworkSpec());
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->architecture, "resnet50");
  EXPECT_EQ(spec->stem, Stem::kImagenet);
}

TEST(ConvertTest, RefusesAnUnknownStem) {
  v1::NetworkSpec message;
  message.set_stem(static_cast<v1::Stem>(77));
  const absl::Status status = FromProto(message).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("77"), std::string::npos) << status;
}

TEST(ConvertTest, EvaluationsKeepEveryScoreAndWhatIsRight) {
  Evaluation evaluation;
  evaluation.images = 11;
  evaluation.accuracy = 0.5;
  evaluation.auc = 0.75;
  evaluation.accuracy_interval = {0.25, 0.625};
  evaluation.expected_calibration_error = 0.125;
  evaluation.class_recall = {0.5, 1};
  evaluation.confusion = {1, 2, 3, 5};
  evaluation.right = {true, false, true, true, false, false, false, true, true, false, true};
  const v1::Evaluation message = ToProto(evaluation, "val", "an engine");
  EXPECT_EQ(message.split(), "val");
  EXPECT_EQ(message.engine(), "an engine");
  EXPECT_EQ(message.images(), 11);
  EXPECT_EQ(message.accuracy(), 0.5);
  EXPECT_EQ(message.auc(), 0.75);
  EXPECT_EQ(message.accuracy_low(), 0.25);
  EXPECT_EQ(message.accuracy_high(), 0.625);
  EXPECT_EQ(message.expected_calibration_error(), 0.125);
  EXPECT_EQ(message.class_recall(1), 1);
  EXPECT_EQ(message.confusion(3), 5);
  EXPECT_EQ(message.right(), "\x8d\x05");
  EXPECT_EQ(RightOf(message), evaluation.right);
}

TEST(ConvertTest, ImagesWithoutABitAreNotRight) {
  v1::Evaluation message;
  message.set_images(10);
  message.set_right("\xff");
  const std::vector<bool> right = RightOf(message);
  ASSERT_EQ(right.size(), 10u);
  EXPECT_TRUE(right[7]);
  EXPECT_FALSE(right[8]);
}

TEST(ConvertTest, PreprocessingReturns) {
  Preprocessing preprocessing;
  preprocessing.center_crop = 200;
  preprocessing.width = 28;
  preprocessing.height = 32;
  preprocessing.channels = 1;
  preprocessing.jpeg_quality = 95;
  preprocessing.mean = {0.25f};
  preprocessing.stddev = {0.75f};
  const Preprocessing back = FromProto(ToProto(preprocessing));
  EXPECT_EQ(back.center_crop, 200);
  EXPECT_EQ(back.width, 28);
  EXPECT_EQ(back.height, 32);
  EXPECT_EQ(back.channels, 1);
  EXPECT_EQ(back.jpeg_quality, 95);
  EXPECT_EQ(back.mean, preprocessing.mean);
  EXPECT_EQ(back.stddev, preprocessing.stddev);
}

}  // namespace
}  // namespace cytopress
