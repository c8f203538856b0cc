// Where the maps of a network lie in one arena, and how.
#ifndef CYTOPRESS_CORE_ENGINE_NETWORK_LAYOUT_H_
#define CYTOPRESS_CORE_ENGINE_NETWORK_LAYOUT_H_

#include <array>
#include <cstddef>
#include <vector>

#include "core/network/network.h"

namespace cytopress {

// How a map lies in memory: [image][y][x][channel], as oneDNN takes it, or as a BlockMap.
enum MapForm { kNhwc, kBlocks };
template <typename T>
using ByForm = std::array<T, 2>;

// The forms of each layer's output; none for the layers that write none (the pooling before the
// classifier, and it).
struct NetworkForms {
  std::vector<MapForm> written;      // by the layer itself
  std::vector<ByForm<bool>> needed;  // that one included; the other is converted from it
  bool IsConverted(size_t layer) const { return needed[layer][kNhwc] && needed[layer][kBlocks]; }
};

// `in_blocks`: by layer, the convolutions that read and write block maps. Max-pooling takes the
// form that it finds, and the input comes in that of its reader.
NetworkForms FormsOf(const Network& network, const std::vector<bool>& in_blocks);

struct NetworkLayout {
  std::vector<ByForm<size_t>> offsets;  // by layer, of its output; 0 where there is none
  size_t scratch_offset = 0;            // of working memory that every layer may use
  size_t bytes = 0;
};
// map_bytes: by layer. A map is converted right after it was written. A residual is added in place:
// the layer's output takes over the residual's buffer of the same form. That is safe because in a
// ResNet nothing reads a block's input, or its downsampled form, after the block's last
// convolution, which reads neither as its own input.
NetworkLayout LayOut(const Network& network, const NetworkForms& forms,
                     const std::vector<ByForm<size_t>>& map_bytes, size_t scratch_bytes);

// The layer whose map the classifier pools.
int PooledLayer(const Network& network);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_NETWORK_LAYOUT_H_
