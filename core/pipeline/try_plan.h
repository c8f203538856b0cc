// How a try of a goal shares out its bytes among the layers.
#ifndef CYTOPRESS_CORE_PIPELINE_TRY_PLAN_H_
#define CYTOPRESS_CORE_PIPELINE_TRY_PLAN_H_

#include <string>
#include <vector>

#include "core/compression/sensitivity.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Options of the stages of one try.
struct TryPlan {
  v1::PruneOptions prune;
  v1::QuantizeOptions quantize;
  std::string choices;  // layer by layer
  std::string text;     // for people
};

// For each layer the index of its choice within `budget` bytes in all. Where the goal bounds the
// latency, work is paid for like bytes (allocation.h).
std::vector<int> ChooseForLayers(const v1::Goal& goal,
                                 const std::vector<LayerSensitivity>& sensitivity, double budget);

// The recipe's options with these choices. REQUIRES: the state has its network, of which
// `sensitivity` is.
TryPlan MakeTryPlan(const v1::Recipe& recipe, const PipelineState& state,
                    const std::vector<LayerSensitivity>& sensitivity, double budget);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_TRY_PLAN_H_
