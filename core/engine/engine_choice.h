// Which engine computes an INT8 model on this CPU.
#ifndef CYTOPRESS_CORE_ENGINE_ENGINE_CHOICE_H_
#define CYTOPRESS_CORE_ENGINE_ENGINE_CHOICE_H_

#include <memory>
#include <string>

#include "core/engine/dense_model.h"
#include "core/engine/engine.h"

namespace cytopress {

// Half of the weights must be zero before skipping them can pay where oneDNN's INT8 is exact.
bool MaySkip(const DenseModel& model);

// The one that takes less time, by the geometric mean of its share at batch 1 and at the preferred
// batch. One engine for all batch sizes: two round differently. That is also why the one of the
// name `certified`, by which the model was scored, is taken where they are about equally fast.
std::unique_ptr<Engine> Faster(std::unique_ptr<Engine> a, std::unique_ptr<Engine> b,
                               const std::string& certified = "");

// The block engine where oneDNN's INT8 is not exact, oneDNN where too few weights are zero, else
// the faster one, as measured now; see Faster. May throw dnnl::error and std::bad_alloc.
std::unique_ptr<Engine> MakeInt8Engine(DenseModel model, int threads, const std::string& certified);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_ENGINE_CHOICE_H_
