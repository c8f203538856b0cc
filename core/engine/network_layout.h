// Which outputs of a network's layers share memory, and where in one arena they lie.
#ifndef CYTOPRESS_CORE_ENGINE_NETWORK_LAYOUT_H_
#define CYTOPRESS_CORE_ENGINE_NETWORK_LAYOUT_H_

#include <cstddef>
#include <vector>

#include "core/network/network.h"

namespace cytopress {

// The buffer of each layer's output, numbered from 0; -1 for the layers that write none (the
// pooling before the classifier, and it). A residual is added in place: the layer's output takes
// over the residual's buffer. That is safe because in a ResNet nothing reads a block's input, or
// its downsampled form, after the block's last convolution, which reads neither as its own input.
std::vector<int> AssignBuffers(const Network& network);

struct NetworkLayout {
  std::vector<size_t> offsets;  // one a layer, of its output; 0 where it has none
  size_t scratch_offset = 0;    // of working memory that every layer may use
  size_t bytes = 0;
};
// buffer_bytes: by buffer.
NetworkLayout LayOut(const Network& network, const std::vector<int>& buffer_of,
                     const std::vector<size_t>& buffer_bytes, size_t scratch_bytes);

// The layer whose map the classifier pools.
int PooledLayer(const Network& network);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_NETWORK_LAYOUT_H_
