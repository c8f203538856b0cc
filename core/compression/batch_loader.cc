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

torch::Tensor ToDevice(const torch::Tensor& tensor, torch::Device device) {
  // From memory that is not pinned, the copy would wait for all that the GPU has yet to do.
  return device.is_cuda() ? tensor.pin_memory().to(device, /*non_blocking=*/true) : tensor;
}

void MixUp(double alpha, uint64_t seed, Batch& batch) {
  std::mt19937_64 random(seed);
  batch.share = BetaShare(random, alpha);
  batch.images = torch::lerp(batch.images.roll(1, 0), batch.images, batch.share)
                     .contiguous(at::MemoryFormat::ChannelsLast);
  batch.partner_labels = batch.labels.roll(1, 0);
}

BatchLoader::BatchLoader(const Dataset& dataset, const Split& split, int batch_size, uint64_t seed,
                         int64_t max_images, torch::Device device, int ahead)
    : dataset_(dataset),
      split_(split),
      batch_size_(batch_size),
      seed_(seed),
      device_(device),
      batches_ahead_(ahead),
      mean_((torch::tensor(dataset.preprocessing.mean) * 255).to(device)),
      stddev_((torch::tensor(dataset.preprocessing.stddev) * 255).to(device)),
      order_(split.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  if (max_images > 0 && max_images < split.size()) {
    std::mt19937_64 random = Generator(seed, 0, 0);
    Shuffle(order_, random);
    order_.resize(max_images);
    std::sort(order_.begin(), order_.end());
  }
  shuffled_ = order_;
}

int64_t BatchLoader::steps() const { return (images() + batch_size_ - 1) / batch_size_; }

void BatchLoader::StartEpoch(int epoch) {
  ahead_.clear();  // waits for what is under way
  epoch_ = epoch;
  shuffled_ = order_;
  std::mt19937_64 random = Generator(seed_, 1, epoch);
  Shuffle(shuffled_, random);
}

Batch BatchLoader::TrainBatch(int64_t step, const Augmentation& augmentation) {
  if (batches_ahead_ == 0) return Assemble(Augmented(step, augmentation));
  if (ahead_.empty() || step != next_) {
    ahead_.clear();
    next_ = step;
  }
  for (int64_t s = next_ + static_cast<int64_t>(ahead_.size());
       s < std::min(step + batches_ahead_, steps()); ++s) {
    ahead_.push_back(std::async(std::launch::async,
                                [this, s, &augmentation] { return Augmented(s, augmentation); }));
  }
  std::future<Images> images = std::move(ahead_.front());
  ahead_.pop_front();
  ++next_;
  return Assemble(images.get());
}

Batch BatchLoader::EvaluationBatch(int64_t step) const {
  const int64_t begin = step * batch_size_;
  Images batch = Select(order_, begin, std::min(batch_size_, images() - begin));
  const int64_t bytes = dataset_.image_bytes();
  for (size_t i = 0; i < batch.numbers.size(); ++i) {
    std::copy_n(&split_.pixels[batch.numbers[i] * bytes], bytes, &batch.pixels[i * bytes]);
  }
  return Assemble(std::move(batch));
}

BatchLoader::Images BatchLoader::Select(const std::vector<int64_t>& order, int64_t begin,
                                        int64_t count) const {
  Images batch;
  for (int64_t i = begin; i < begin + count; ++i) {
    const int64_t number = order[i % images()];
    batch.numbers.push_back(number);
    batch.labels.push_back(split_.labels[number]);
  }
  batch.pixels.resize(count * dataset_.image_bytes());
  return batch;
}

BatchLoader::Images BatchLoader::Augmented(int64_t step, const Augmentation& augmentation) const {
  Images batch = Select(shuffled_, step * batch_size_, std::min(batch_size_, images()));
  const int64_t bytes = dataset_.image_bytes();
  const ImageShape shape = {dataset_.height, dataset_.width, dataset_.channels};
  std::mt19937_64 random = Generator(seed_, 2, (uint64_t(epoch_) << 32) | uint64_t(step));
  for (size_t i = 0; i < batch.numbers.size(); ++i) {
    Augment(&split_.pixels[batch.numbers[i] * bytes], shape, augmentation, random,
            &batch.pixels[i * bytes]);
  }
  return batch;
}

Batch BatchLoader::Assemble(Images batch) const {
  const std::vector<int64_t> shape = {static_cast<int64_t>(batch.labels.size()), dataset_.height,
                                      dataset_.width, dataset_.channels};
  torch::Tensor images =
      ToDevice(torch::from_blob(batch.pixels.data(), shape, torch::kUInt8), device_)
          .to(torch::kFloat32);
  images = images.sub_(mean_).div_(stddev_).permute({0, 3, 1, 2});  // NHWC seen as NCHW
  return {images,
          ToDevice(torch::tensor(batch.labels, torch::kInt64), device_),
          torch::tensor(batch.numbers, torch::kInt64),
          {}};
}

}  // namespace cytopress
