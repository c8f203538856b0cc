#include "core/compression/checkpoint.h"

#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

TEST(CheckpointTest, RoundTripsNamesWithDotsAndEveryType) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("round_trip.pt");
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
  const TemporaryFolder folder;
  EXPECT_TRUE(absl::IsNotFound(LoadTensors(folder.PathOf("absent.pt")).status()));
  const std::string path = folder.PathOf("damaged.pt");
  ASSERT_TRUE(WriteFileAtomically(path, "not a checkpoint").ok());
  EXPECT_TRUE(absl::IsDataLoss(LoadTensors(path).status()));
}

// Has no memory for LibTorch while it lives.
class NoMemory : public at::Allocator {
 public:
  NoMemory() { c10::SetCPUAllocator(this, kPriority); }
  ~NoMemory() override { c10::SetCPUAllocator(usual_, kPriority); }
  // Which of these are virtual depends on LibTorch's version.
  at::DataPtr allocate(size_t size) const { return Fail(size); }
  at::DataPtr allocate(size_t size) { return Fail(size); }
  void copy_data(void* to, const void* from, size_t size) const {}

 private:
  static constexpr uint8_t kPriority = 100;
  static at::DataPtr Fail(size_t size) {
    TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", size);
  }

  at::Allocator* const usual_ = c10::GetCPUAllocator();
};

TEST(CheckpointTest, AFileThatThereIsNoMemoryForIsNotDamaged) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("large.pt");
  ASSERT_TRUE(SaveTensors({{"w", torch::ones({1000})}}, path).ok());
  {
    NoMemory no_memory;
    const absl::Status status = LoadTensors(path).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  }
  EXPECT_TRUE(LoadTensors(path).ok());
}

TEST(CheckpointTest, WhatIsSetAsideIsKept) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("aside.pt");
  ASSERT_TRUE(WriteFileAtomically(path, "damaged").ok());
  ASSERT_TRUE(SetAside(path, "it is damaged").ok());
  EXPECT_EQ(*ReadFile(path + ".bad", 100), "damaged");
  EXPECT_TRUE(absl::IsNotFound(ReadFile(path, 100).status()));
  EXPECT_TRUE(absl::IsNotFound(SetAside(path, "it is damaged")));
}

TEST(CheckpointTest, GetAllNamesWhatIsMissing) {
  TensorTable table, target;
  target["w"] = torch::zeros({2});
  PutAll("a/", {{"w", torch::ones({2})}}, table);
  ASSERT_TRUE(GetAll("a/", table, target).ok());
  EXPECT_TRUE(target["w"].equal(torch::ones({2})));
  EXPECT_THAT(GetAll("b/", table, target).message(), testing::HasSubstr("b/w"));
}

}  // namespace
}  // namespace cytopress
