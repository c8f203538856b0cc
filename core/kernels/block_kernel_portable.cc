// Plain C++, 8 positions at a time.
#include <cmath>

#include "core/kernels/block_kernel_loops.h"

namespace cytopress {
namespace {

template <typename T>
struct Eight {
  T lanes[8];
};

struct Portable {
  static constexpr int kLanes = 8;
  static constexpr int kMostVectors = 8;
  static constexpr int kTogetherVectors = 2;
  static constexpr int kAlikeVectors = 0;
  static constexpr bool kAddsIn16Bits = false;
  static constexpr bool kFewPositions = false;
  static constexpr bool kAsksForAlike = false;
  static constexpr bool kBroadcastsBlocks = false;
  using Int = Eight<int32_t>;
  using Float = Eight<float>;

  template <typename To, typename Function>
  static Eight<To> Each(Function function) {
    Eight<To> result;
    for (int i = 0; i < kLanes; ++i) result.lanes[i] = function(i);
    return result;
  }

  static Int Load(const uint8_t* from) {
    Int result;
    std::memcpy(&result, from, sizeof(result));
    return result;
  }
  static void Store(uint8_t* to, const Int& value) { std::memcpy(to, &value, sizeof(value)); }
  static Int LoadIndex(const int32_t* from) {
    return Each<int32_t>([&](int i) { return from[i]; });
  }
  static Int LoadWhere(const Int& index, const uint8_t* from, Int fill) {
    for (int i = 0; i < kLanes; ++i) {
      if (index.lanes[i] < 0) continue;
      std::memcpy(&fill.lanes[i], from + kBlockChannels * i, kBlockChannels);
    }
    return fill;
  }
  static Int GatherWhere(const Int& index, const uint8_t* from, Int fill) {
    for (int i = 0; i < kLanes; ++i) {
      if (index.lanes[i] < 0) continue;
      std::memcpy(&fill.lanes[i], from + int64_t{kBlockChannels} * index.lanes[i], kBlockChannels);
    }
    return fill;
  }
  static Int Set(int32_t value) {
    return Each<int32_t>([&](int) { return value; });
  }
  static Float Set(float value) {
    return Each<float>([&](int) { return value; });
  }

  template <int G>
  static Int Accumulate(Int sum, const uint8_t* run, const int64_t* distances, const Int* blocks) {
    for (int g = 0; g < G; ++g) {
      int8_t weights[kBlockChannels];
      std::memcpy(weights, &blocks[g].lanes[0], sizeof(weights));
      const uint8_t* const values = run + distances[g];
      for (int i = 0; i < kLanes; ++i) {
        for (int c = 0; c < kBlockChannels; ++c) {
          sum.lanes[i] += values[kBlockChannels * i + c] * weights[c];
        }
      }
    }
    return sum;
  }

  static Int Add(const Int& a, const Int& b) {
    return Each<int32_t>([&](int i) { return a.lanes[i] + b.lanes[i]; });
  }
  static Float ToFloat(const Int& a) {
    return Each<float>([&](int i) { return static_cast<float>(a.lanes[i]); });
  }
  static Float MultiplyAdd(const Float& a, const Float& b, const Float& c) {
    return Each<float>([&](int i) { return std::fma(a.lanes[i], b.lanes[i], c.lanes[i]); });
  }
  static Float Bound(const Float& a, const Float& low, const Float& high) {
    return Each<float>([&](int i) {
      const float value = a.lanes[i] > low.lanes[i] ? a.lanes[i] : low.lanes[i];
      return value < high.lanes[i] ? value : high.lanes[i];
    });
  }
  static Int LargerBytes(const Int& a, const Int& b) {
    uint8_t x[sizeof(Int)], y[sizeof(Int)];
    std::memcpy(x, &a, sizeof(x));
    std::memcpy(y, &b, sizeof(y));
    for (size_t i = 0; i < sizeof(x); ++i) x[i] = x[i] > y[i] ? x[i] : y[i];
    return Load(x);
  }
  static Int Round(const Float& a) {
    return Each<int32_t>([&](int i) { return static_cast<int32_t>(std::nearbyint(a.lanes[i])); });
  }
  static Float AsFloat(const Int& a) {
    Float result;
    std::memcpy(&result, &a, sizeof(result));
    return result;
  }
  template <int kIndex>
  static Float Residual(const Int& before) {
    return Each<float>([&](int i) {
      const auto byte = static_cast<uint32_t>(before.lanes[i]) >> (8 * kIndex) & 0xff;
      return static_cast<float>(kResidualBase + kResidualParts * static_cast<int32_t>(byte));
    });
  }
  template <bool kAddsZero>
  static Int Interleave(const Int& a, const Int& b, const Int& c, const Int& d, const Int& zero) {
    return Each<int32_t>([&](int i) {
      const auto byte = [&](const Int& part) {
        const int64_t value = int64_t{part.lanes[i]} + zero.lanes[i];
        return static_cast<uint32_t>(value < 0 ? 0 : value > 255 ? 255 : value);
      };
      return static_cast<int32_t>(byte(a) | byte(b) << 8 | byte(c) << 16 | byte(d) << 24);
    });
  }
};

}  // namespace

const BlockKernel& PortableBlockKernel() {
  static constexpr BlockKernel kKernel = KernelOf<Portable>("portable");
  return kKernel;
}

}  // namespace cytopress
