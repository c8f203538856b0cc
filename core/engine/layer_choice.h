// Which convolutions of an INT8 model skip their zeros, and what computes the others in full.
#ifndef CYTOPRESS_CORE_ENGINE_LAYER_CHOICE_H_
#define CYTOPRESS_CORE_ENGINE_LAYER_CHOICE_H_

#include "core/engine/dense_model.h"
#include "core/engine/plan.h"
#include "core/kernels/block_kernel.h"
#include "core/kernels/onednn.h"

namespace cytopress {

// The choice with the least estimated time of a pass with what converting maps takes, batch 1 and
// the model's largest (32, less where its maps are large) counting alike. Between oneDNN and the
// block kernels, which round differently, one choice for all batch sizes. An estimate and not a
// measurement, so that a file gets the same choice, and gives the same answers, each time that it
// is loaded on a CPU of the same kind. All in blocks where oneDNN's INT8 is not exact, none where
// the arithmetic is not kInt8. Thread-safe, as the following.
LayerWays ChooseLayers(const DenseModel& model, const BlockKernel& kernel = BestBlockKernel());

// That of a CPU whose oneDNN computes INT8 with `unit`. REQUIRES: the model's arithmetic is kInt8.
LayerWays ChooseLayers(const DenseModel& model, IntegerUnit unit, const BlockKernel& kernel);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_LAYER_CHOICE_H_
