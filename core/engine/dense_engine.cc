#include "core/engine/dense_engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

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

DenseEngine::DenseEngine(DenseModel model, int threads)
    : BatchEngine(std::move(model), threads), packed_(PackModel(model_)), stream_(CpuEngine()) {
  const ScopedThreads scope(threads);
  PlanFor(1);
}

std::string DenseEngine::name() const {
  switch (model_.arithmetic) {
    case DenseArithmetic::kInt8:
      return "onednn-int8";
    case DenseArithmetic::kBf16:
      return "onednn-bf16";
    case DenseArithmetic::kFp32:
      break;
  }
  return "onednn-fp32";
}

DensePlan& DenseEngine::PlanFor(int batch) {
  std::unique_ptr<DensePlan>& plan = plans_[batch];
  if (plan == nullptr) plan = std::make_unique<DensePlan>(model_, packed_, batch);
  arena_.Reserve(plan->arena_bytes());
  return *plan;
}

void DenseEngine::FillInput(const uint8_t* pixels, int count, int batch, uint8_t* input) const {
  const int channels = model_.network.spec.input_channels;
  const auto fill = [&](const auto& table, auto* values) {
    const int64_t used = count * image_bytes();
    for (int64_t i = 0; i < used; i += channels) {
      for (int c = 0; c < channels; ++c) values[i + c] = table[256 * c + pixels[i + c]];
    }
    std::fill(values + used, values + batch * image_bytes(), 0);
  };
  if (model_.grids[0].number == Number::kInt8) {
    fill(model_.integer_input, reinterpret_cast<int8_t*>(input));
  } else if (model_.grids[0].number == Number::kBfloat16) {
    fill(model_.bfloat16_input, reinterpret_cast<uint16_t*>(input));
  } else {
    fill(model_.float_input, reinterpret_cast<float*>(input));
  }
}

void DenseEngine::ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) {
  DensePlan& plan = PlanFor(batch);
  FillInput(pixels, count, batch, arena_.data() + plan.input_offset());
  plan.Run(arena_, stream_);
  const Layer& map = model_.network.layers[plan.output_layer()];
  const OutputGrid& grid = model_.grids[plan.output_layer()];
  const int positions = map.out_height * map.out_width;
  const uint8_t* output = arena_.data() + plan.output_offset();
  const int64_t values = int64_t{positions} * map.out_channels;
  for (int i = 0; i < count; ++i) {
    float* scores = probabilities + int64_t{i} * classes();
    if (grid.number == Number::kUint8) {
      model_.classifier.Classify(output + i * values, positions, grid.step, scores);
    } else if (grid.number == Number::kBfloat16) {
      Widen(reinterpret_cast<const uint16_t*>(output) + i * values, values, &widened_);
      model_.classifier.Classify(widened_.data(), positions, scores);
    } else {
      model_.classifier.Classify(reinterpret_cast<const float*>(output) + i * values, positions,
                                 scores);
    }
  }
}

}  // namespace cytopress
