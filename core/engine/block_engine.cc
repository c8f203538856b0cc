#include "core/engine/block_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace cytopress {

BlockEngine::BlockEngine(DenseModel model, int threads, const BlockKernel& kernel)
    : BatchEngine(std::move(model), threads), kernel_(kernel), blocks_(PackBlocks(model_, kernel)) {
  // From here on only the blocks are read.
  for (Convolution& convolution : model_.convolutions) {
    std::vector<int8_t>().swap(convolution.integer_weights);
  }
  PlanFor(1);
}

std::string BlockEngine::name() const { return absl::StrCat("block-int8-", kernel_.name); }

BlockPlan& BlockEngine::PlanFor(int batch) {
  std::unique_ptr<BlockPlan>& plan = plans_[batch];
  if (plan == nullptr) plan = std::make_unique<BlockPlan>(model_, blocks_, kernel_, batch);
  arena_.Reserve(plan->arena_bytes());
  return *plan;
}

void BlockEngine::ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) {
  BlockPlan& plan = PlanFor(batch);
  plan.FillInput(pixels, count, arena_);
  plan.Run(arena_, threads());
  const Layer& map = model_.network.layers[plan.output_layer()];
  const int positions = map.out_height * map.out_width;
  pooled_map_.resize(size_t(positions) * map.out_channels);
  for (int i = 0; i < count; ++i) {
    plan.ReadMap(arena_, plan.output_layer(), i, pooled_map_.data());
    model_.classifier.Classify(pooled_map_.data(), positions,
                               model_.grids[plan.output_layer()].step,
                               probabilities + int64_t{i} * classes());
  }
}

}  // namespace cytopress
