// A network on the block kernels, laid out for one batch size.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_PLAN_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/engine/arena.h"
#include "core/engine/block_kernel.h"
#include "core/engine/block_map.h"
#include "core/engine/block_planes.h"
#include "core/engine/block_weights.h"
#include "core/engine/dense_model.h"
#include "core/engine/network_layout.h"

namespace cytopress {

// By layer; null for other layers than convolutions.
using BlockModel = std::vector<std::unique_ptr<BlockWeights>>;
BlockModel PackBlocks(const DenseModel& model, const BlockKernel& kernel);

// Thread-compatible.
class BlockPlan {
 public:
  // All must outlive the plan; of the model's weights nothing is read. REQUIRES: kInt8 arithmetic.
  BlockPlan(const DenseModel& model, const BlockModel& weights, const BlockKernel& kernel,
            int batch);

  int batch() const { return batch_; }
  size_t arena_bytes() const { return layout_.bytes; }
  int output_layer() const { return output_layer_; }

  // pixels: uint8 [count, height, width, channels], count up to batch().
  void FillInput(const uint8_t* pixels, int count, const Arena& arena) const;
  // REQUIRES: `arena` has at least arena_bytes(). Called after each layer, before later ones
  // overwrite its output.
  using Observer = std::function<void(int layer)>;
  void Run(const Arena& arena, int threads, const Observer& observer = nullptr) const;
  // One image's output of a layer, NHWC as the model's grid stores it.
  void ReadMap(const Arena& arena, int layer, int image, uint8_t* values) const;

 private:
  // Output positions whose windows have the same taps in the map, and the blocks at those.
  struct Part {
    std::optional<BlockWeights> weights;  // empty: all of the layer's
    std::vector<uint16_t> ids;            // in place of the weights' own; empty: those
    std::vector<BlockTile> tiles;
    BlockTask task;
  };
  struct Step {
    int layer = 0;
    std::vector<int32_t> offsets;
    std::vector<Part> parts;
    std::optional<BlockPlanes> planes;
  };
  struct Position {
    int y, x;
  };

  bool IsUnread(size_t layer) const { return !model_.unread.empty() && model_.unread[layer]; }
  void ShapeMaps(const std::vector<int>& buffer_of);
  void AddConvolution(int layer, const BlockWeights& weights);
  void SetOffsets(const Convolution& convolution, const BlockWeights& weights, Step& step) const;
  // Of the layer's weights, those at the taps used at these positions, which are all alike in that;
  // no positions: all of them, in one tile.
  Part MakePart(const Step& step, const BlockWeights& weights, const std::vector<bool>& used_taps,
                const std::vector<Position>& positions) const;
  // Where they are short enough, distances in place of ids that point at distances.
  void UseOwnDistances(const Step& step, const BlockWeights& weights, Part& part) const;
  // As many as registers can sum up, but only half of them where all that a tile reads would not
  // stay in the first cache from one row of weights to the next.
  int MostVectors(const Convolution& convolution, const BlockMap& source) const;
  // In tiles of at most so many vectors.
  void SetTiles(const Step& step, const std::vector<Position>& positions, int most_vectors,
                Part& part) const;
  void RunConvolution(const Step& step, const Arena& arena, int threads) const;
  void RunMaxPool(int layer, const Arena& arena) const;

  const DenseModel& model_;
  const BlockKernel& kernel_;
  const int batch_;
  const int output_layer_;
  // What model.integer_input is in a block of the first map, each channel's byte in its place.
  std::vector<uint32_t> input_bytes_;
  std::vector<BlockMap> maps_;  // by layer
  std::vector<Step> steps_;
  NetworkLayout layout_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_PLAN_H_
