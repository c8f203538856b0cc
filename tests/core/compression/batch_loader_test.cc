#include "core/compression/batch_loader.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

// Image i is filled with the value i; its label is i.
Dataset NumberedDataset(int count) {
  Dataset dataset;
  dataset.height = dataset.width = 4;
  for (int i = 0; i < count; ++i) {
    dataset.train.pixels.insert(dataset.train.pixels.end(), 48, static_cast<uint8_t>(i));
    dataset.train.labels.push_back(i);
    dataset.class_names.push_back(std::to_string(i));
  }
  return dataset;
}

TEST(BatchLoaderTest, NormalizesAndKeepsLabelsWithTheirImages) {
  const Dataset dataset = NumberedDataset(10);
  BatchLoader loader(dataset, dataset.train, 5, 1);
  loader.StartEpoch(0);
  for (int step = 0; step < 2; ++step) {
    const Batch batch = loader.TrainBatch(step, {});
    ASSERT_EQ(batch.images.sizes(), (std::vector<int64_t>{5, 3, 4, 4}));
    EXPECT_TRUE(batch.images.is_contiguous(at::MemoryFormat::ChannelsLast));
    for (int i = 0; i < 5; ++i) {
      const float pixel = batch.labels[i].item<float>();
      EXPECT_NEAR(batch.images[i].mean().item<float>(), (pixel / 255 - 0.5) / 0.5, 1e-5);
    }
  }
}

TEST(BatchLoaderTest, AnEpochSeesEveryImageOnceInAnOrderOfItsOwn) {
  const Dataset dataset = NumberedDataset(12);
  BatchLoader loader(dataset, dataset.train, 4, 1);
  auto labels = [&](int epoch) {
    loader.StartEpoch(epoch);
    std::vector<int64_t> seen;
    for (int step = 0; step < loader.steps(); ++step) {
      const torch::Tensor batch = loader.TrainBatch(step, {}).labels;
      seen.insert(seen.end(), batch.data_ptr<int64_t>(), batch.data_ptr<int64_t>() + 4);
    }
    return seen;
  };
  const std::vector<int64_t> first = labels(0);
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.end()).size(), 12u);
  EXPECT_NE(first, labels(1));
  EXPECT_EQ(first, labels(0));
}

TEST(BatchLoaderTest, AnEpochLeavesNoImageOut) {
  const Dataset dataset = NumberedDataset(10);
  BatchLoader loader(dataset, dataset.train, 4, 1);
  loader.StartEpoch(0);
  ASSERT_EQ(loader.steps(), 3);
  std::vector<int64_t> seen;
  for (int step = 0; step < 3; ++step) {
    const torch::Tensor batch = loader.TrainBatch(step, {}).labels;
    ASSERT_EQ(batch.numel(), 4);
    seen.insert(seen.end(), batch.data_ptr<int64_t>(), batch.data_ptr<int64_t>() + 4);
  }
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.begin() + 10).size(), 10u);
  // The last batch is filled with the first images.
  EXPECT_EQ(seen[10], seen[0]);
  EXPECT_EQ(seen[11], seen[1]);
}

TEST(BatchLoaderTest, ASplitSmallerThanABatchIsOneSmallBatch) {
  const Dataset dataset = NumberedDataset(3);
  BatchLoader loader(dataset, dataset.train, 4, 1);
  loader.StartEpoch(0);
  EXPECT_EQ(loader.steps(), 1);
  EXPECT_EQ(loader.TrainBatch(0, {}).labels.numel(), 3);
}

TEST(BatchLoaderTest, BatchesThatWereMadeAheadAreTheSame) {
  const Dataset dataset = NumberedDataset(50);
  Augmentation augmentation;
  augmentation.rotate_degrees = 45;
  augmentation.color_jitter = 0.2;
  BatchLoader expected(dataset, dataset.train, 4, 3);
  BatchLoader loader(dataset, dataset.train, 4, 3, 0, torch::kCPU, /*ahead=*/5);
  for (int epoch = 0; epoch < 2; ++epoch) {
    expected.StartEpoch(epoch);
    loader.StartEpoch(epoch);
    // The first epoch is left while others are under way; one batch is asked for again.
    for (const int64_t step : {0, 1, 2, 2, 3, 7, 8}) {
      const Batch a = expected.TrainBatch(step, augmentation);
      const Batch b = loader.TrainBatch(step, augmentation);
      EXPECT_TRUE(b.images.equal(a.images)) << step;
      EXPECT_TRUE(b.labels.equal(a.labels)) << step;
    }
  }
}

TEST(BatchLoaderTest, ALimitPicksTheSameImagesEveryTime) {
  const Dataset dataset = NumberedDataset(50);
  const BatchLoader a(dataset, dataset.train, 8, 3, 20), b(dataset, dataset.train, 8, 3, 20);
  EXPECT_EQ(a.images(), 20);
  EXPECT_EQ(a.steps(), 3);
  EXPECT_TRUE(a.EvaluationBatch(2).labels.equal(b.EvaluationBatch(2).labels));
  EXPECT_EQ(a.EvaluationBatch(2).labels.size(0), 4);
}

// A pixel pattern without symmetry must appear in all eight poses and in no other.
TEST(BatchLoaderTest, FlipsAndTurnsAreTheEightPosesOfASquare) {
  Dataset dataset;
  dataset.height = dataset.width = 2;
  dataset.channels = 1;
  dataset.preprocessing.mean = {0};
  dataset.preprocessing.stddev = {1};
  dataset.class_names = {"a", "b"};
  dataset.train.pixels = {0, 51, 102, 204};
  dataset.train.labels = {0};
  BatchLoader loader(dataset, dataset.train, 1, 5);
  Augmentation flips;
  flips.shift_pixels = 0;
  std::set<std::vector<int>> poses;
  for (int epoch = 0; epoch < 200; ++epoch) {
    loader.StartEpoch(epoch);
    const torch::Tensor image = (loader.TrainBatch(0, flips).images * 255).round().flatten();
    std::vector<int> pose;
    for (int i = 0; i < 4; ++i) pose.push_back(image[i].item<int>());
    poses.insert(pose);
  }
  EXPECT_EQ(poses.size(), 8u);
  EXPECT_TRUE(poses.count({0, 51, 102, 204}));
  EXPECT_TRUE(poses.count({0, 102, 51, 204}));
  EXPECT_FALSE(poses.count({51, 102, 0, 204}));
}

// Image i is full of i, so what is left of it and of its partner can be read off the mixture.
TEST(BatchLoaderTest, MixUpMixesImagesAndNamesTheirPartners) {
  const Dataset dataset = NumberedDataset(8);
  BatchLoader loader(dataset, dataset.train, 8, 1);
  loader.StartEpoch(0);
  Batch batch = loader.TrainBatch(0, {});
  MixUp(1, 5, batch);
  EXPECT_GT(batch.share, 0);
  EXPECT_LT(batch.share, 1);
  EXPECT_TRUE(batch.images.is_contiguous(at::MemoryFormat::ChannelsLast));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(batch.partner_labels[i].item<int64_t>(), batch.labels[(i + 7) % 8].item<int64_t>());
    const double mixed = batch.share * batch.labels[i].item<double>() +
                         (1 - batch.share) * batch.partner_labels[i].item<double>();
    EXPECT_NEAR(batch.images[i].mean().item<double>(), (mixed / 255 - 0.5) / 0.5, 1e-5);
  }
}

}  // namespace
}  // namespace cytopress
