#include "core/kernels/im2col.h"

#include <cstring>
#include <vector>

namespace cytopress {
namespace {

constexpr int kMostPositions = 16;
constexpr int kFewestChannels = 64;

// From [out, in, tap] to [out, tap, in].
template <typename T>
void OrderByTap(const Convolution& c, const std::vector<T>& weights, std::vector<T>* ordered) {
  const int taps = c.kernel_height * c.kernel_width;
  auto from = weights.begin();
  for (auto to = ordered->begin(); from != weights.end(); to += int64_t{taps} * c.in_channels) {
    for (int i = 0; i < c.in_channels; ++i) {
      for (int tap = 0; tap < taps; ++tap) to[int64_t{tap} * c.in_channels + i] = *from++;
    }
  }
}

void CopyImage(const Convolution& c, const uint8_t* source, uint8_t* rows) {
  const size_t pixel = c.in_channels * DataTypeBytes(c.source);
  for (int y = 0; y < c.out_height; ++y) {
    for (int x = 0; x < c.out_width; ++x) {
      for (int tap_y = 0; tap_y < c.kernel_height; ++tap_y) {
        const int row = y * c.stride - c.pad_top + tap_y;
        for (int tap_x = 0; tap_x < c.kernel_width; ++tap_x, rows += pixel) {
          const int column = x * c.stride - c.pad_left + tap_x;
          if (row < 0 || row >= c.in_height || column < 0 || column >= c.in_width) {
            std::memset(rows, 0, pixel);
          } else {
            std::memcpy(rows, source + (size_t(row) * c.in_width + column) * pixel, pixel);
          }
        }
      }
    }
  }
}

}  // namespace

bool PrefersIm2col(const Convolution& c) {
  return !c.is_pointwise() && c.out_height * c.out_width <= kMostPositions &&
         c.in_channels >= kFewestChannels && c.out_channels >= kFewestChannels;
}

Convolution Im2colConvolution(const Convolution& c) {
  Convolution rows = c;
  rows.in_channels = c.kernel_height * c.kernel_width * c.in_channels;
  rows.in_height = c.out_height;
  rows.in_width = c.out_width;
  rows.kernel_height = rows.kernel_width = rows.stride = 1;
  rows.pad_top = rows.pad_left = 0;
  OrderByTap(c, c.integer_weights, &rows.integer_weights);
  OrderByTap(c, c.float_weights, &rows.float_weights);
  return rows;
}

size_t Im2colBytes(const Convolution& c, int batch) {
  return size_t(batch) * c.out_height * c.out_width * c.kernel_height * c.kernel_width *
         c.in_channels * DataTypeBytes(c.source);
}

void Im2col(const Convolution& c, int batch, const uint8_t* source, uint8_t* rows, int threads) {
  const size_t image_bytes =
      size_t(c.in_height) * c.in_width * c.in_channels * DataTypeBytes(c.source);
  const size_t image_rows = Im2colBytes(c, 1);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int image = 0; image < batch; ++image) {
    CopyImage(c, source + image * image_bytes, rows + image * image_rows);
  }
}

}  // namespace cytopress
