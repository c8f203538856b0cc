// Turns a split into normalized batches, augmented for training.
#ifndef CYTOPRESS_CORE_COMPRESSION_BATCH_LOADER_H_
#define CYTOPRESS_CORE_COMPRESSION_BATCH_LOADER_H_

#include <torch/torch.h>

#include <cstdint>
#include <deque>
#include <future>
#include <vector>

#include "core/compression/augmentation.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// A copy on the device. A GPU is not waited for.
torch::Tensor ToDevice(const torch::Tensor& tensor, torch::Device device);

struct Batch {
  torch::Tensor images;           // float [N, C, H, W], channels_last, normalized
  torch::Tensor labels;           // int64 [N]
  torch::Tensor images_of_split;  // int64 [N]: their numbers in the split
  // Set by MixUp: each image is `share` of its own and the rest of a partner.
  torch::Tensor partner_labels;  // int64 [N]
  double share = 1;
};

// Mixes each image with its neighbour in the batch, all with one share from Beta(alpha, alpha)
// (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018). alpha in (0, 4]. Thread-safe.
void MixUp(double alpha, uint64_t seed, Batch& batch);

// Deterministic: the order and the augmentation of an epoch depend on the seed and the epoch's
// number alone, so training resumes after any epoch as if it had never stopped. Thread-compatible.
class BatchLoader {
 public:
  // `dataset` and `split` must outlive the loader. Uses the first `max_images` (0 = all) of a
  // seeded permutation. Images and labels come on `device`. So many batches `ahead` of the one that
  // is asked for, threads of the loader's own augment what comes next.
  BatchLoader(const Dataset& dataset, const Split& split, int batch_size, uint64_t seed,
              int64_t max_images = 0, torch::Device device = torch::kCPU, int ahead = 0);
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  int64_t images() const { return static_cast<int64_t>(order_.size()); }
  // Of an epoch, which sees every image.
  int64_t steps() const;

  // Starts an epoch of training: shuffles.
  void StartEpoch(int epoch);
  // The last batch is filled with the epoch's first images, since batch norms need many; only fewer
  // images than a batch make a smaller one.
  // With batches ahead: `augmentation` is the same in all of an epoch, and outlives the loader.
  Batch TrainBatch(int64_t step, const Augmentation& augmentation);

  // In file order, without augmentation.
  Batch EvaluationBatch(int64_t step) const;

 private:
  // A batch before LibTorch sees it.
  struct Images {
    std::vector<uint8_t> pixels;
    std::vector<int64_t> labels;
    std::vector<int64_t> numbers;
  };

  // Numbers and labels of `count` images from the one at `begin` on, past the last from the first
  // on, and room for the pixels.
  Images Select(const std::vector<int64_t>& order, int64_t begin, int64_t count) const;
  Images Augmented(int64_t step, const Augmentation& augmentation) const;
  Batch Assemble(Images images) const;

  const Dataset& dataset_;
  const Split& split_;
  const int64_t batch_size_;
  const uint64_t seed_;
  const torch::Device device_;
  const int64_t batches_ahead_;
  torch::Tensor mean_, stddev_;  // of pixels from 0 to 255, by channel
  int epoch_ = 0;
  std::vector<int64_t> order_;     // the images in use, in file order
  std::vector<int64_t> shuffled_;  // this epoch's order
  // The batches from step next_ on, under way. Last, so that its threads end before what they read.
  int64_t next_ = 0;
  std::deque<std::future<Images>> ahead_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_BATCH_LOADER_H_
