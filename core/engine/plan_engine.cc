#include "core/engine/plan_engine.h"

#include <cstring>
#include <exception>
#include <new>
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

PlanEngine::PlanEngine(std::shared_ptr<CompiledModel> compiled, int threads)
    : BatchEngine(compiled->model(), threads), compiled_(std::move(compiled)) {
  const ScopedThreads scope(threads);
  PlanFor(1);
}

absl::StatusOr<std::unique_ptr<Engine>> PlanEngine::Clone() {
  try {
    return std::make_unique<PlanEngine>(compiled_, threads());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for another engine");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(name(), " failed: ", error.what()));
  }
}

Plan& PlanEngine::PlanFor(int batch) {
  std::unique_ptr<Plan>& plan = plans_[batch];
  if (plan == nullptr) plan = compiled_->PlanFor(batch);
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
  const Layer& shape = model().network.layers[layer];
  const OutputGrid& grid = model().grids[layer];
  const Classifier& classifier = model().classifier;
  const int positions = shape.out_height * shape.out_width;
  if (grid.type == DataType::kUint8) {
    classifier.Classify(map, positions, grid.step, buffers_, probabilities);
  } else if (grid.type == DataType::kBfloat16) {
    Widen(reinterpret_cast<const uint16_t*>(map), int64_t{positions} * shape.out_channels,
          &widened_);
    classifier.Classify(widened_.data(), positions, buffers_, probabilities);
  } else {
    classifier.Classify(reinterpret_cast<const float*>(map), positions, buffers_, probabilities);
  }
}

}  // namespace cytopress
