// Max-pooling of block maps.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_POOLING_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_POOLING_H_

#include <cstddef>
#include <cstdint>

#include "core/kernels/block_kernel.h"
#include "core/kernels/block_map.h"
#include "core/network/network.h"

namespace cytopress {

// Thread-compatible.
class BlockPooling {
 public:
  // `layer` and `kernel` must outlive the object; `source` and `map` are copied. REQUIRES: a map of
  // unsigned integers, of which padding is the least.
  BlockPooling(const Layer& layer, const BlockMap& source, const BlockMap& map,
               const BlockKernel& kernel);

  // Bytes of working memory.
  size_t scratch_bytes() const;
  void Run(const uint8_t* source, uint8_t* scratch, uint8_t* destination) const;

 private:
  // Over the rows of a window, then over its columns, both many pixels at a time.
  void PoolRows(const uint8_t* from, uint8_t* scratch, uint8_t* to) const;
  void PoolTiles(const uint8_t* from, uint8_t* to) const;
  // Of a row with its padding, in a map whose rows are in one piece.
  int64_t PaddedRowBytes() const;

  const Layer& layer_;
  const BlockMap source_;
  const BlockMap map_;
  const BlockKernel& kernel_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_POOLING_H_
