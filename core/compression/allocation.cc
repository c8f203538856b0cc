#include "core/compression/allocation.h"

namespace cytopress {
namespace {

constexpr int kBisections = 200;

// The best choice of each layer where a byte costs `price` of loss, and work what so many bytes do;
// of equals, the smallest.
std::vector<int> ChooseAt(const std::vector<std::vector<LayerChoice>>& layers, double price,
                          double bytes_of_work) {
  std::vector<int> chosen;
  for (const std::vector<LayerChoice>& choices : layers) {
    size_t best = 0;
    const auto cost = [&](size_t i) {
      return choices[i].loss + price * (choices[i].bytes + bytes_of_work * choices[i].work);
    };
    for (size_t i = 1; i < choices.size(); ++i) {
      if (cost(i) < cost(best) ||
          (cost(i) == cost(best) && choices[i].bytes < choices[best].bytes)) {
        best = i;
      }
    }
    chosen.push_back(static_cast<int>(best));
  }
  return chosen;
}

double BytesOf(const std::vector<std::vector<LayerChoice>>& layers,
               const std::vector<int>& chosen) {
  double bytes = 0;
  for (size_t i = 0; i < layers.size(); ++i) bytes += layers[i][chosen[i]].bytes;
  return bytes;
}

}  // namespace

double BytesOfWork(const std::vector<std::vector<LayerChoice>>& layers) {
  double bytes = 0, work = 0;
  for (const std::vector<LayerChoice>& choices : layers) {
    bytes += choices.front().bytes;
    work += choices.front().work;
  }
  return work > 0 ? bytes / work : 0;
}

std::vector<int> Allocate(const std::vector<std::vector<LayerChoice>>& layers, double max_bytes,
                          double bytes_of_work) {
  std::vector<int> best = ChooseAt(layers, 0, bytes_of_work);
  if (BytesOf(layers, best) <= max_bytes) return best;
  // From a price at which everything is as small as it can be, down to the lowest that still fits.
  double low = 0, high = 1e-12;
  for (int i = 0; i < kBisections; ++i) {
    best = ChooseAt(layers, high, bytes_of_work);
    if (BytesOf(layers, best) <= max_bytes) break;
    low = high;
    high *= 2;
  }
  if (bytes_of_work > 0 && BytesOf(layers, best) > max_bytes) return Allocate(layers, max_bytes);
  for (int i = 0; i < kBisections && high - low > 1e-6 * high; ++i) {
    const double middle = (low + high) / 2;
    const std::vector<int> chosen = ChooseAt(layers, middle, bytes_of_work);
    if (BytesOf(layers, chosen) <= max_bytes) {
      high = middle;
      best = chosen;
    } else {
      low = middle;
    }
  }
  return best;
}

}  // namespace cytopress
