// A convolution's weights as the block kernels read them.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_WEIGHTS_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "core/kernels/block_grouping.h"
#include "core/kernels/block_kernel.h"
#include "core/kernels/convolution.h"
#include "core/kernels/row_constants.h"

namespace cytopress {

// Above this share of blocks that are not zero, AVX512-VNNI is faster if it computes all of them
// for 4 rows at once: the inputs are loaded once, which is as much work as the products.
inline constexpr double kAlikeShare = 0.7;

// The blocks that are not zero: 6 bytes each, or 4.5 where 4 rows share an id. A block's id is
// tap * channel_groups + channel / 4. Thread-compatible.
class BlockWeights {
 public:
  // How the blocks are laid out: see BlockRows.
  struct Form {
    bool alike = false;
    int group = 1;
  };

  // `source_channels` are WeightReader's; they are padded to a multiple of 4 with zero weights.
  // Where sums of 16 bits would saturate, a block is stored as two that add up to it. Where the
  // kernel gains from rows that are alike and few blocks are zero, those are kept as well, unless
  // they are zero in 4 rows.
  // REQUIRES: integer weights, out_channels a multiple of 4.
  BlockWeights(const Convolution& convolution, int source_channels, const BlockKernel& kernel);

  // Those at some of the taps, for windows that have only padding at the others. `used` says of
  // each tap whether it is one of them.
  BlockWeights AtTaps(const std::vector<bool>& used) const;

  int taps() const { return taps_; }
  int channel_groups() const { return channel_groups_; }
  const std::vector<uint16_t>& ids() const { return ids_; }
  // Gives their memory back, for one who has distances in their place.
  void DropIds() { std::vector<uint16_t>().swap(ids_); }
  bool alike() const { return form_.alike; }
  // Blocks that are multiplied for one position, those that only fill up groups too.
  int64_t products() const;
  int64_t bytes() const;

  // Valid as long as this object. `convolution` is the one that it was made of.
  BlockRows View(const Convolution& convolution) const;

 private:
  BlockWeights(const RowConstants& constants, int taps, int channel_groups, Form form);

  // The blocks of 4 rows, and where their sums begin.
  void AppendRows(const std::vector<Block>* rows);
  void AppendAlikeRows(const std::vector<AlikeBlock>& blocks);
  // What was appended for `row`, or for it and the next three, but what only fills up.
  std::vector<Block> RowBlocks(int row) const;
  std::vector<AlikeBlock> AlikeRowsBlocks(int row) const;
  void ShrinkToFit();

  RowConstants constants_;
  uint16_t idle_id_ = 0;  // of blocks that only fill up: inputs that every window has
  int taps_;
  int channel_groups_;
  Form form_;
  // As BlockRows has them.
  std::vector<uint32_t> first_;
  std::vector<uint16_t> steps_;
  std::vector<uint16_t> ids_;
  std::vector<int8_t> weights_;
  std::vector<int32_t> initial_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_WEIGHTS_H_
