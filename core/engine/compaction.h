// Dead-channel elimination: leaves out of the compute what no weight reads.
#ifndef CYTOPRESS_CORE_ENGINE_COMPACTION_H_
#define CYTOPRESS_CORE_ENGINE_COMPACTION_H_

#include "core/engine/dense_model.h"

namespace cytopress {

// A convolution loses the output channels that all of its readers' weights ignore, and the readers
// those input channels, unless a residual is added to them; a few stay so that their number remains
// a multiple of 16, in which vectors and tiles come. Fills in model->unread. What the network
// computes stays the same, to the last bit in integers. REQUIRES: the convolutions are not
// simplified yet.
void Compact(DenseModel* model);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_COMPACTION_H_
