#include "core/compression/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/compression/checkpoint_pace.h"

namespace cytopress {
namespace {

TEST(CheckpointTest, RoundTripsNamesWithDotsAndEveryType) {
  const std::string path = testing::TempDir() + "/round_trip.pt";
  TensorTable table;
  table["now/layer1.0.conv1.weight"] = torch::arange(24, torch::kFloat32)
                                           .reshape({1, 4, 2, 3})
                                           .contiguous(at::MemoryFormat::ChannelsLast);
  table["epoch"] = torch::tensor(int64_t{5});
  table["bytes"] = torch::tensor({1, 200}, torch::kUInt8);
  ASSERT_TRUE(SaveTensors(table, path).ok());
  const TensorTable loaded = *LoadTensors(path);
  ASSERT_EQ(loaded.size(), 3u);
  for (const auto& [name, tensor] : table) {
    EXPECT_TRUE(loaded.at(name).equal(tensor)) << name;
    EXPECT_EQ(loaded.at(name).dtype(), tensor.dtype()) << name;
  }
}

TEST(CheckpointTest, MissingAndDamagedFilesAreToldApart) {
  EXPECT_TRUE(absl::IsNotFound(LoadTensors(testing::TempDir() + "/absent.pt").status()));
  const std::string path = testing::TempDir() + "/damaged.pt";
  ASSERT_TRUE(WriteFileAtomically(path, "not a checkpoint").ok());
  EXPECT_TRUE(absl::IsDataLoss(LoadTensors(path).status()));
}

TEST(CheckpointTest, GetAllNamesWhatIsMissing) {
  TensorTable table, target;
  target["w"] = torch::zeros({2});
  PutAll("a/", {{"w", torch::ones({2})}}, table);
  ASSERT_TRUE(GetAll("a/", table, target).ok());
  EXPECT_TRUE(target["w"].equal(torch::ones({2})));
  EXPECT_THAT(GetAll("b/", table, target).message(), testing::HasSubstr("b/w"));
}

TEST(CheckpointPaceTest, SavingTakesATwentiethOfTheTime) {
  FakeClock clock;
  CheckpointPace pace(&clock);
  ASSERT_TRUE(pace.IsDue());
  const absl::Duration start = clock.Steady();
  clock.Advance(absl::Seconds(2));
  pace.Saved(start);
  EXPECT_FALSE(pace.IsDue());
  clock.Advance(absl::Seconds(37.9));
  EXPECT_FALSE(pace.IsDue());
  clock.Advance(absl::Seconds(0.1));
  EXPECT_TRUE(pace.IsDue());
  // A faster disk: sooner again.
  pace.Saved(clock.Steady() - absl::Seconds(1));
  clock.Advance(absl::Seconds(19));
  EXPECT_TRUE(pace.IsDue());
}

}  // namespace
}  // namespace cytopress
