#include "core/engine/plan_engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

// BF16 is the upper half of FP32.
void Widen(const uint16_t* from, int64_t count, std::vector<float>* to) {
  to->resize(count);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = uint32_t{from[i]} << 16;
    std::memcpy(&(*to)[i], &bits, sizeof(bits));
  }
}

}  // namespace

PlanEngine::PlanEngine(DenseModel model, const LayerChoice& choice, int threads,
                       const BlockKernel& kernel)
    : BatchEngine(std::move(model), threads), packed_(PackModel(model_, choice, kernel)) {
  for (size_t i = 0; i < choice.size(); ++i) {
    if (!choice[i].in_blocks && packed_.of_windows[i] == nullptr) continue;
    std::vector<int8_t>().swap(model_.convolutions[i].integer_weights);
    std::vector<float>().swap(model_.convolutions[i].float_weights);
  }
  const ScopedThreads scope(threads);
  PlanFor(1);
}

std::string PlanEngine::name() const {
  if (model_.arithmetic == DenseArithmetic::kFp32) return "onednn-fp32";
  if (model_.arithmetic == DenseArithmetic::kBf16) return "onednn-bf16";
  const auto any = [](const auto& by_layer) {
    return std::any_of(by_layer.begin(), by_layer.end(),
                       [](const auto& weights) { return weights != nullptr; });
  };
  const bool has_matrices = any(packed_.matrices);
  if (!any(packed_.blocks) && !has_matrices) return "onednn-int8";
  return absl::StrCat(any(packed_.onednn) ? "mixed" : "block", "-int8-",
                      has_matrices ? packed_.kernel->matrix_name : packed_.kernel->name);
}

Plan& PlanEngine::PlanFor(int batch) {
  std::unique_ptr<Plan>& plan = plans_[batch];
  if (plan == nullptr) plan = std::make_unique<Plan>(model_, packed_, batch);
  arena_.Reserve(plan->arena_bytes());
  return *plan;
}

void PlanEngine::ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) {
  Plan& plan = PlanFor(batch);
  plan.FillInput(pixels, count, arena_);
  plan.Run(arena_, threads());
  map_.resize(plan.image_map_bytes(plan.output_layer()));
  for (int i = 0; i < count; ++i) {
    plan.ReadMap(arena_, plan.output_layer(), i, map_.data());
    ClassifyMap(map_.data(), plan.output_layer(), probabilities + int64_t{i} * classes());
  }
}

void PlanEngine::ClassifyMap(const uint8_t* map, int layer, float* probabilities) {
  const Layer& shape = model_.network.layers[layer];
  const OutputGrid& grid = model_.grids[layer];
  const int positions = shape.out_height * shape.out_width;
  if (grid.number == Number::kUint8) {
    model_.classifier.Classify(map, positions, grid.step, probabilities);
  } else if (grid.number == Number::kBfloat16) {
    Widen(reinterpret_cast<const uint16_t*>(map), int64_t{positions} * shape.out_channels,
          &widened_);
    model_.classifier.Classify(widened_.data(), positions, probabilities);
  } else {
    model_.classifier.Classify(reinterpret_cast<const float*>(map), positions, probabilities);
  }
}

}  // namespace cytopress
