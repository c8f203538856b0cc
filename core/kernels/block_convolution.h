// One convolution on the block kernels, laid out for one batch size.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_CONVOLUTION_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_CONVOLUTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/kernels/block_inputs.h"
#include "core/kernels/block_kernel.h"
#include "core/kernels/block_map.h"
#include "core/kernels/block_weights.h"
#include "core/kernels/convolution.h"

namespace cytopress {

// Thread-compatible.
class BlockConvolution {
 public:
  // `weights` are those of `convolution`. All must outlive the object, which reads nothing of the
  // convolution's own weights; `source` and `map` are copied.
  BlockConvolution(const Convolution& convolution, const BlockWeights& weights,
                   const BlockMap& source, const BlockMap& map, const BlockKernel& kernel);

  // Bytes of working memory.
  size_t scratch_bytes() const { return inputs_.scratch_bytes(); }
  // From one map into the other, on so many OpenMP threads. A residual lies in the destination.
  void Run(const uint8_t* source, uint8_t* scratch, uint8_t* destination, int threads) const;

 private:
  // Positions that are alike, and the blocks at their taps.
  struct Part {
    std::optional<BlockWeights> weights;  // empty: all of the layer's
    std::vector<uint16_t> ids;            // in place of the weights' own; empty: those
    std::vector<BlockTile> tiles;
    BlockTask task;
  };

  // Of the layer's weights, those at the taps used; no positions: all of them, in one tile.
  Part MakePart(const BlockWeights& weights, const AlikePositions& alike) const;
  // Where they are short enough, distances in place of ids that point at distances.
  void UseOwnDistances(const BlockWeights& weights, Part& part) const;
  // As many as registers can sum up, but only half of them where all that a tile reads would not
  // stay in the first cache from one row of weights to the next.
  int MostVectors() const;
  // In tiles of at most so many vectors.
  void SetTiles(const std::vector<AlikePositions::Position>& positions, int most_vectors,
                Part& part) const;

  const Convolution& convolution_;
  const BlockMap source_;
  const BlockMap map_;
  const BlockKernel& kernel_;
  const BlockInputs inputs_;
  std::vector<Part> parts_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_CONVOLUTION_H_
