// Which blocks of one row may be added in 16 bits without saturating.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_GROUPING_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_GROUPING_H_

#include <array>
#include <cstdint>
#include <vector>

#include "core/engine/block_kernel.h"

namespace cytopress {

struct Block {
  uint16_t id = 0;
  std::array<int8_t, kBlockChannels> weights = {};
};

// Adds `block` to `row`, as two blocks where its own pairs of products could saturate.
void AppendExact(const Block& block, std::vector<Block>& row);

// `row` in an order in which every `group` consecutive blocks may be added in 16 bits
// (BlockKernel::adds_in_16_bits), filled up with blocks of zeros. REQUIRES: each block of `row` may
// be added by itself (AppendExact).
std::vector<Block> GroupBlocks(const std::vector<Block>& row, int group);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_GROUPING_H_
