// A small data set and network that train in a second.
#ifndef CYTOPRESS_TESTS_CORE_COMPRESSION_TEST_DATA_H_
#define CYTOPRESS_TESTS_CORE_COMPRESSION_TEST_DATA_H_

#include <random>

#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// Two classes of 16x16 RGB noise: a bright centre (1) or none (0), the same under every flip and
// turn.
inline Split DrawSpots(int count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Split split;
  for (int i = 0; i < count; ++i) {
    const int label = static_cast<int>(random() % 2);
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) {
        const bool centre = x >= 5 && x < 11 && y >= 5 && y < 11;
        for (int c = 0; c < 3; ++c) {
          split.pixels.push_back(random() % 100 + (label == 1 && centre ? 120 : 0));
        }
      }
    }
    split.labels.push_back(label);
  }
  return split;
}

inline Dataset SpotDataset() {
  Dataset dataset;
  dataset.name = "spots";
  dataset.class_names = {"dark", "bright"};
  dataset.height = dataset.width = 16;
  dataset.preprocessing.height = dataset.preprocessing.width = 16;
  dataset.train = DrawSpots(256, 1);
  dataset.val = DrawSpots(64, 2);
  dataset.test = DrawSpots(64, 3);
  dataset.content_hash = "spots";
  return dataset;
}

inline TorchNetwork SmallNetwork(const std::string& architecture = "resnet18", uint64_t seed = 7) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = Stem::kStride2;
  spec.classes = 2;
  spec.input_height = spec.input_width = 16;
  return TorchNetwork(*BuildNetwork(spec), torch::kCPU, seed);
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_COMPRESSION_TEST_DATA_H_
