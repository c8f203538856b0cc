#include "core/compression/batch_loader.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace cytopress {
namespace {

// std::shuffle differs between libraries; this does not.
void Shuffle(std::vector<int64_t>& values, std::mt19937_64& random) {
  for (uint64_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

std::mt19937_64 Generator(uint64_t seed, uint64_t stream, uint64_t position) {
  std::seed_seq sequence{seed, seed >> 32, stream, position, position >> 32};
  return std::mt19937_64(sequence);
}

}  // namespace

void MixUp(double alpha, uint64_t seed, Batch& batch) {
  std::mt19937_64 random(seed);
  batch.share = BetaShare(random, alpha);
  batch.images = torch::lerp(batch.images.roll(1, 0), batch.images, batch.share)
                     .contiguous(at::MemoryFormat::ChannelsLast);
  batch.partner_labels = batch.labels.roll(1, 0);
}

BatchLoader::BatchLoader(const Dataset& dataset, const Split& split, int batch_size, uint64_t seed,
                         int64_t max_images)
    : dataset_(dataset), split_(split), batch_size_(batch_size), seed_(seed), order_(split.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  if (max_images > 0 && max_images < split.size()) {
    std::mt19937_64 random = Generator(seed, 0, 0);
    Shuffle(order_, random);
    order_.resize(max_images);
    std::sort(order_.begin(), order_.end());
  }
  shuffled_ = order_;
}

int64_t BatchLoader::train_steps() const { return std::max<int64_t>(images() / batch_size_, 1); }

int64_t BatchLoader::evaluation_steps() const { return (images() + batch_size_ - 1) / batch_size_; }

void BatchLoader::StartEpoch(int epoch) {
  epoch_ = epoch;
  shuffled_ = order_;
  std::mt19937_64 random = Generator(seed_, 1, epoch);
  Shuffle(shuffled_, random);
}

Batch BatchLoader::TrainBatch(int64_t step, const Augmentation& augmentation) {
  const int64_t begin = step * batch_size_;
  const int64_t count = std::min(batch_size_, images() - begin);
  const int64_t bytes = dataset_.image_bytes();
  const ImageShape shape = {dataset_.height, dataset_.width, dataset_.channels};
  std::mt19937_64 random = Generator(seed_, 2, (uint64_t(epoch_) << 32) | uint64_t(step));
  std::vector<uint8_t> pixels(count * bytes);
  std::vector<int64_t> labels(count), numbers(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t image = shuffled_[begin + i];
    numbers[i] = image;
    Augment(&split_.pixels[image * bytes], shape, augmentation, random, &pixels[i * bytes]);
    labels[i] = split_.labels[image];
  }
  return Assemble(std::move(pixels), labels, numbers);
}

Batch BatchLoader::EvaluationBatch(int64_t step) const {
  const int64_t begin = step * batch_size_;
  const int64_t count = std::min(batch_size_, images() - begin);
  const int64_t bytes = dataset_.image_bytes();
  std::vector<uint8_t> pixels(count * bytes);
  std::vector<int64_t> labels(count), numbers(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t image = order_[begin + i];
    numbers[i] = image;
    std::copy_n(&split_.pixels[image * bytes], bytes, &pixels[i * bytes]);
    labels[i] = split_.labels[image];
  }
  return Assemble(std::move(pixels), labels, numbers);
}

Batch BatchLoader::Assemble(std::vector<uint8_t> pixels, const std::vector<int64_t>& labels,
                            const std::vector<int64_t>& numbers) const {
  const int64_t count = static_cast<int64_t>(labels.size());
  const Preprocessing& p = dataset_.preprocessing;
  const torch::Tensor mean = torch::tensor(std::vector<float>(p.mean)) * 255;
  const torch::Tensor stddev = torch::tensor(std::vector<float>(p.stddev)) * 255;
  torch::Tensor images =
      torch::from_blob(pixels.data(), {count, dataset_.height, dataset_.width, dataset_.channels},
                       torch::kUInt8)
          .to(torch::kFloat32);
  images = images.sub_(mean).div_(stddev).permute({0, 3, 1, 2});  // NHWC seen as NCHW
  return {images, torch::tensor(labels, torch::kInt64), torch::tensor(numbers, torch::kInt64), {}};
}

}  // namespace cytopress
