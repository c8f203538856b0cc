// What each way to compute a layer takes, by a fitted model of its cost.
#ifndef CYTOPRESS_CORE_ENGINE_LAYER_COSTS_H_
#define CYTOPRESS_CORE_ENGINE_LAYER_COSTS_H_

#include <cstdint>
#include <vector>

#include "core/engine/dense_model.h"
#include "core/kernels/block_kernel.h"
#include "core/kernels/onednn.h"
#include "core/network/network.h"

namespace cytopress {

// All functions are thread-safe.

// Blocks of a layer's weights that are not zero; all of them where the rows are alike.
struct BlockCount {
  int64_t blocks = 0;
  bool alike = false;
};
// By layer; of no use for other layers than convolutions. Reads all weights.
std::vector<BlockCount> CountBlocks(const DenseModel& model, const BlockKernel& kernel);

// Estimated nanoseconds of one core for a layer's convolution.
struct LayerTimes {
  double onednn = 0;
  double blocks = 0;  // zeros skipped
  double matrix = 0;  // not skipped; infinite where the kernel has no matrices or `unit` is not AMX
};
// By layer; zeros for other layers than convolutions. `counts` are CountBlocks'.
std::vector<LayerTimes> EstimateTimes(const DenseModel& model,
                                      const std::vector<BlockCount>& counts, int batch,
                                      IntegerUnit unit, const BlockKernel& kernel);
std::vector<LayerTimes> EstimateTimes(const DenseModel& model, int batch, IntegerUnit unit,
                                      const BlockKernel& kernel);

// The same for converting the layer's output between NHWC and a block map.
double ConversionTime(const Layer& layer, int batch);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_LAYER_COSTS_H_
