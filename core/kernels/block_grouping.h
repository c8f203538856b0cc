// Which blocks may be added in 16 bits without saturating.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_GROUPING_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_GROUPING_H_

#include <array>
#include <cstdint>
#include <vector>

#include "core/kernels/block_kernel.h"

namespace cytopress {

// The weights of so many rows for the same 4 inputs.
template <int kRows>
struct RowsBlock {
  uint16_t id = 0;
  std::array<int8_t, kRows* kBlockChannels> weights = {};  // row by row
};
using Block = RowsBlock<1>;
using AlikeBlock = RowsBlock<kAlikeRows>;

// The following are there for Block and AlikeBlock.

template <int kRows>
bool IsZero(const RowsBlock<kRows>& block) {
  int8_t any = 0;
  for (const int8_t weight : block.weights) any |= weight;
  return any == 0;
}

// Adds `block` to `blocks`, as two where its own pairs of products could saturate.
template <int kRows>
void AppendExact(const RowsBlock<kRows>& block, std::vector<RowsBlock<kRows>>& blocks);

// `blocks` in an order in which every `group` consecutive ones may be added in 16 bits
// (BlockKernel::adds_in_16_bits), filled up with blocks of zeros. Their own order where that will
// do; else a heuristic for bin packing: deals them by weight in snake order over as few groups as
// can hold them, takes out what makes a group too heavy, and puts it by next fit into groups with
// room, or a new one. REQUIRES: each of them may be added by itself (AppendExact).
template <int kRows>
std::vector<RowsBlock<kRows>> GroupBlocks(const std::vector<RowsBlock<kRows>>& blocks, int group);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_GROUPING_H_
