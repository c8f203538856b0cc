// Random numbers that are the same on every machine: the standard fixes std::mt19937_64's output
// but not that of its distributions, and no function of the mathematical library rounds alike
// everywhere.
#ifndef CYTOPRESS_CORE_DATASET_RANDOM_H_
#define CYTOPRESS_CORE_DATASET_RANDOM_H_

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace cytopress {

// Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // The `index`-th independent stream of `seed` (splitmix64 of both).
  static Random Stream(uint64_t seed, uint64_t index) {
    return Random(Mix(Mix(seed) ^ (index * 0x9e3779b97f4a7c15u)));
  }

  // [0, 1)
  double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  // [low, high)
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // 0 to count - 1. REQUIRES: count > 0. The bias is below count / 2^53.
  int64_t Below(int64_t count) { return static_cast<int64_t>(Uniform() * count); }
  bool Chance(double probability) { return Uniform() < probability; }

  // Mean 0 and deviation 1: the sum of eight uniforms, so never beyond 4.9.
  double Normal() {
    int64_t sum = 0;
    for (int draw = 0; draw < 2; ++draw) {
      const uint64_t bits = engine_();
      for (int lane = 0; lane < 4; ++lane) sum += (bits >> (16 * lane)) & 0xffff;
    }
    // A lane has mean 32767.5 and variance 65536^2 / 12, to within 1e-9.
    return (static_cast<double>(sum) - 8 * 32767.5) * (1.224744871391589 / 65536);
  }
  double Normal(double mean, double deviation) { return mean + deviation * Normal(); }

  template <typename T>
  void Shuffle(std::vector<T>* items) {
    for (size_t i = items->size(); i > 1; --i) {
      std::swap((*items)[i - 1], (*items)[Below(static_cast<int64_t>(i))]);
    }
  }

 private:
  static uint64_t Mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  std::mt19937_64 engine_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_RANDOM_H_
