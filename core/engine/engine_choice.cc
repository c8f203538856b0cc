#include "core/engine/engine_choice.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "core/engine/block_engine.h"
#include "core/engine/dense_engine.h"
#include "core/engine/onednn.h"

namespace cytopress {
namespace {

// Of one pass, the best of a few: what the machine does besides only adds.
double Seconds(Engine& engine, int batch) {
  constexpr int kPasses = 4;
  const std::vector<uint8_t> pixels(size_t(batch) * engine.image_bytes(), 128);
  std::vector<float> probabilities(size_t(batch) * engine.classes());
  double best = std::numeric_limits<double>::max();
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    if (!engine.Classify(pixels, batch, absl::MakeSpan(probabilities)).ok()) continue;
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return best;
}

}  // namespace

bool MaySkip(const DenseModel& model) {
  int64_t zeros = 0, weights = 0;
  for (const Convolution& convolution : model.convolutions) {
    const std::vector<int8_t>& values = convolution.integer_weights;
    zeros += std::count(values.begin(), values.end(), 0);
    weights += static_cast<int64_t>(values.size());
  }
  return 2 * zeros >= weights;
}

std::unique_ptr<Engine> Faster(std::unique_ptr<Engine> a, std::unique_ptr<Engine> b,
                               const std::string& certified) {
  // What two measurements of the same may differ by.
  constexpr double kFaster = 1.05;
  const int batch = a->preferred_batch();
  const double ratio = Seconds(*a, 1) / Seconds(*b, 1) * (Seconds(*a, batch) / Seconds(*b, batch));
  double most = 1;
  // The ratio is of both batch sizes, multiplied.
  if (certified == a->name()) most = kFaster * kFaster;
  if (certified == b->name()) most = 1 / (kFaster * kFaster);
  return ratio < most ? std::move(a) : std::move(b);
}

std::unique_ptr<Engine> MakeInt8Engine(DenseModel model, int threads,
                                       const std::string& certified) {
  if (!HasExactInt8()) return std::make_unique<BlockEngine>(std::move(model), threads);
  if (!MaySkip(model)) return std::make_unique<DenseEngine>(std::move(model), threads);
  auto blocks = std::make_unique<BlockEngine>(model, threads);
  return Faster(std::move(blocks), std::make_unique<DenseEngine>(std::move(model), threads),
                certified);
}

}  // namespace cytopress
