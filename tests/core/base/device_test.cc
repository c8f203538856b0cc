#include "core/base/device.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(ParseDeviceName, OneDeviceHasOneName) {
  EXPECT_EQ(*ParseDeviceName("cpu"), "cpu");
  EXPECT_EQ(*ParseDeviceName("cuda:0"), "cuda:0");
  EXPECT_EQ(*ParseDeviceName("cuda:00"), "cuda:0");
  EXPECT_EQ(*ParseDeviceName("cuda:015"), "cuda:15");
  EXPECT_EQ(*ParseDeviceName("cuda:999"), "cuda:999");
}

TEST(ParseDeviceName, RefusesWhatIsNone) {
  for (const char* name : {"", "gpu", "CPU", "cuda", "cuda:", "cuda:x", "cuda:+0", "cuda:-1",
                           "cuda: 1", "cuda:1 ", "cuda:1000"}) {
    const absl::Status status = ParseDeviceName(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_NE(status.message().find(name), absl::string_view::npos) << status;
  }
}

TEST(NormalizeDevice, WritesTheNameOrSaysWhatIsWrong) {
  std::string device = "cuda:01";
  EXPECT_EQ(NormalizeDevice(device), "");
  EXPECT_EQ(device, "cuda:1");
  device = "gpu";
  EXPECT_NE(NormalizeDevice(device), "");
  EXPECT_EQ(device, "gpu");
}

TEST(GpuIndex, IsOfGpusOnly) {
  EXPECT_EQ(GpuIndex("cuda:15"), 15);
  EXPECT_EQ(GpuIndex("cpu"), std::nullopt);
}

}  // namespace
}  // namespace cytopress
