#include "core/kernels/convolution.h"

#include <algorithm>

namespace cytopress {
namespace {

// The taps of one dimension that meet the input at some position of the output.
struct TapRange {
  int first;
  int last;

  int size() const { return last - first + 1; }
};

TapRange UsedTaps(int kernel, int stride, int padding, int in_size, int out_size) {
  TapRange range = {kernel, -1};
  for (int tap = 0; tap < kernel; ++tap) {
    for (int y = 0; y < out_size; ++y) {
      const int row = y * stride - padding + tap;
      if (row < 0 || row >= in_size) continue;
      range.first = std::min(range.first, tap);
      range.last = std::max(range.last, tap);
    }
  }
  return range;
}

int PadAfter(int in_size, int out_size, int kernel, int stride, int pad_before) {
  return std::max(0, (out_size - 1) * stride + kernel - in_size - pad_before);
}

template <typename T>
void CropTaps(std::vector<T>& weights, const Convolution& shape, TapRange rows, TapRange columns) {
  if (weights.empty()) return;
  const int64_t planes = int64_t{shape.out_channels} * shape.in_channels;
  std::vector<T> cropped;
  cropped.reserve(planes * rows.size() * columns.size());
  for (int64_t plane = 0; plane < planes; ++plane) {
    for (int y = rows.first; y <= rows.last; ++y) {
      const auto row = weights.begin() + (plane * shape.kernel_height + y) * shape.kernel_width;
      cropped.insert(cropped.end(), row + columns.first, row + columns.last + 1);
    }
  }
  weights.swap(cropped);
}

// [out, in, taps] -> [out, taps, in], the order of an NHWC input.
template <typename T>
void MoveTapsOutward(std::vector<T>& weights, int out_channels, int in_channels, int taps) {
  if (weights.empty()) return;
  std::vector<T> moved(weights.size());
  for (int o = 0; o < out_channels; ++o) {
    const int64_t row = int64_t{o} * in_channels * taps;
    for (int i = 0; i < in_channels; ++i) {
      for (int t = 0; t < taps; ++t) {
        moved[row + int64_t{t} * in_channels + i] = weights[row + int64_t{i} * taps + t];
      }
    }
  }
  weights.swap(moved);
}

void DropUnusedTaps(Convolution& c) {
  const TapRange rows = UsedTaps(c.kernel_height, c.stride, c.pad_top, c.in_height, c.out_height);
  const TapRange columns = UsedTaps(c.kernel_width, c.stride, c.pad_left, c.in_width, c.out_width);
  if (rows.size() == c.kernel_height && columns.size() == c.kernel_width) return;
  CropTaps(c.integer_weights, c, rows, columns);
  CropTaps(c.float_weights, c, rows, columns);
  c.kernel_height = rows.size();
  c.kernel_width = columns.size();
  c.pad_top -= rows.first;
  c.pad_left -= columns.first;
}

bool CoversWholeInput(const Convolution& c) {
  return c.out_height == 1 && c.out_width == 1 && c.kernel_height == c.in_height &&
         c.kernel_width == c.in_width && c.pad_top == 0 && c.pad_left == 0;
}

}  // namespace

size_t DataTypeBytes(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kBfloat16:
      return 2;
    case DataType::kUint8:
    case DataType::kInt8:
      break;
  }
  return 1;
}

int Convolution::pad_bottom() const {
  return PadAfter(in_height, out_height, kernel_height, stride, pad_top);
}

int Convolution::pad_right() const {
  return PadAfter(in_width, out_width, kernel_width, stride, pad_left);
}

bool Convolution::is_pointwise() const {
  return kernel_height == 1 && kernel_width == 1 && stride == 1 && pad_top == 0 && pad_left == 0;
}

void Simplify(Convolution& convolution) {
  Convolution& c = convolution;
  DropUnusedTaps(c);
  if (!CoversWholeInput(c)) return;
  const int taps = c.kernel_height * c.kernel_width;
  MoveTapsOutward(c.integer_weights, c.out_channels, c.in_channels, taps);
  MoveTapsOutward(c.float_weights, c.out_channels, c.in_channels, taps);
  c.in_channels *= taps;
  c.in_height = c.in_width = c.kernel_height = c.kernel_width = c.stride = 1;
}

}  // namespace cytopress
