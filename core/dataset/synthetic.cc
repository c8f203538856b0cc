#include "core/dataset/synthetic.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/dataset/cell_drawing.h"
#include "core/dataset/class_names.h"
#include "core/dataset/random.h"
#include "core/dataset/synthetic_uri.h"

namespace cytopress {
namespace {

constexpr int kSide = 28;
constexpr int kDrawnSide = 2 * kSide;
// Images of each type in BloodMNIST.
constexpr std::array<int64_t, kDrawnCellTypes> kFrequencies = {1218, 3117, 1551, 2895,
                                                               1214, 1420, 3329, 2348};

// Standard deviation of the sensor's noise, in steps of 255.
constexpr double kMinNoise = 1;
constexpr double kMaxNoise = 4.5;

// Draws at twice the size, so that scaling down smooths the edges as a lens and camera do.
void AppendCell(int label, Random random, Split* split) {
  const Image cell = ResizeBilinear(DrawCell(label, kDrawnSide, &random), kSide, kSide);
  const double noise = random.Uniform(kMinNoise, kMaxNoise);
  for (const uint8_t value : cell.pixels) {
    const double noisy = value + random.Normal(0, noise) + 0.5;
    split->pixels.push_back(static_cast<uint8_t>(std::min(255.0, std::max(0.0, noisy))));
  }
  split->labels.push_back(label);
}

struct Labels {
  std::vector<int> train, val, test;
};

Labels MakeLabels(int64_t images, uint64_t seed) {
  int64_t total = 0;
  for (const int64_t frequency : kFrequencies) total += frequency;
  Labels labels;
  int64_t seen = 0;
  for (int label = 0; label < kDrawnCellTypes; ++label) {
    // Rounding the running sum makes the counts add up to `images`.
    const int64_t begin = images * seen / total;
    seen += kFrequencies[label];
    const int64_t count = images * seen / total - begin;
    const int64_t val = std::max<int64_t>(1, count / 10);
    const int64_t test = std::max<int64_t>(1, count / 5);
    labels.train.insert(labels.train.end(), count - val - test, label);
    labels.val.insert(labels.val.end(), val, label);
    labels.test.insert(labels.test.end(), test, label);
  }
  Random random(seed);
  for (std::vector<int>* split : {&labels.train, &labels.val, &labels.test}) {
    random.Shuffle(split);
  }
  return labels;
}

}  // namespace

absl::StatusOr<Dataset> DrawDataset(int64_t images, const DatasetOptions& options) {
  CYTOPRESS_RETURN_IF_ERROR(CheckSyntheticImages(images));
  Dataset dataset;
  dataset.name = "synthetic";
  dataset.class_names = BloodMnistClassNames();
  dataset.height = kSide;
  dataset.width = kSide;
  dataset.channels = 3;
  dataset.synthetic = true;
  dataset.preprocessing.width = kSide;
  dataset.preprocessing.height = kSide;
  if (images > options.max_bytes / dataset.image_bytes()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("synthetic:", images, " takes ", images * dataset.image_bytes(),
                     " bytes; at most ", options.max_bytes, " are allowed"));
  }
  const Labels labels = MakeLabels(images, options.seed);
  uint64_t index = 0;
  for (const auto& [split, wanted] :
       {std::pair<Split*, const std::vector<int>*>{&dataset.train, &labels.train},
        {&dataset.val, &labels.val},
        {&dataset.test, &labels.test}}) {
    split->pixels.reserve(wanted->size() * dataset.image_bytes());
    split->labels.reserve(wanted->size());
    for (const int label : *wanted) {
      if (options.should_stop()) return LoadingStopped();
      AppendCell(label, Random::Stream(options.seed, ++index), split);
    }
  }
  CYTOPRESS_RETURN_IF_ERROR(SetClassNames("synthetic", kDrawnCellTypes, options, &dataset));
  return dataset;
}

}  // namespace cytopress
