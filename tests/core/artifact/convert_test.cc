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
