// Batch-norm statistics that fit the weights as they are now.
#ifndef CYTOPRESS_CORE_COMPRESSION_BATCH_NORM_H_
#define CYTOPRESS_CORE_COMPRESSION_BATCH_NORM_H_

#include <cstdint>

#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"

namespace cytopress {

inline constexpr int64_t kReestimationImages = 4096;

// Replaces the running means and variances by the averages over the batches of up to `images`
// training images, without labels and without augmentation. Pruning and rounding shift what flows
// through the network, and the statistics of before no longer describe it (Sun et al., "Hybrid
// 8-bit Floating Point Training and Inference", 2019, section 3.2; Finkelstein et al., "Fighting
// Quantization Bias With Bias", 2019).
void ReestimateBatchNorm(const TorchNetwork& network, const Dataset& dataset, uint64_t seed,
                         int64_t images = kReestimationImages);

// For a network whose batch norms are identities because the file that it came from has them folded
// into its weights (TorchNetwork::Import). Measures each one's input over up to `images` training
// images and makes the measured mean and variance its statistics, and what undoes them its scale
// and shift: the network answers as before, and in training, which normalizes by the statistics of
// the batch, it begins where it was.
void UnfoldBatchNorm(const TorchNetwork& network, const Dataset& dataset, uint64_t seed,
                     int64_t images = kReestimationImages / 4);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_BATCH_NORM_H_
