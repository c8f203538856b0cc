#include <algorithm>
#include <cmath>
#include <vector>

#include "core/image/image.h"

namespace cytopress {
namespace {

// Coefficients are integers of this many fractional bits: 32 less 8 for a pixel and 2 for headroom.
constexpr int kFractionBits = 32 - 8 - 2;

// For every output position the input positions that it depends on, and their weights.
struct Filter {
  std::vector<int> first;
  std::vector<int> count;
  int stride = 0;
  std::vector<int32_t> weights;  // [output][stride]
};

double Triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

Filter MakeFilter(int in_size, int out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double support = std::max(scale, 1.0);  // the triangle's half width, in input pixels
  const double inverse = 1.0 / support;
  Filter filter;
  filter.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  filter.weights.resize(static_cast<size_t>(out_size) * filter.stride);
  std::vector<double> weights(filter.stride);
  for (int out = 0; out < out_size; ++out) {
    const double center = (out + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int end = std::min(in_size, static_cast<int>(center + support + 0.5));
    double sum = 0;
    for (int i = 0; i < end - first; ++i) {
      weights[i] = Triangle((i + first - center + 0.5) * inverse);
      sum += weights[i];
    }
    int32_t* const fixed = &filter.weights[static_cast<size_t>(out) * filter.stride];
    for (int i = 0; i < end - first; ++i) {
      const double weight = sum != 0 ? weights[i] / sum : weights[i];
      fixed[i] = static_cast<int32_t>(0.5 + weight * (1 << kFractionBits));
    }
    filter.first.push_back(first);
    filter.count.push_back(end - first);
  }
  return filter;
}

uint8_t Round(int32_t fixed) {
  return static_cast<uint8_t>(std::clamp(fixed >> kFractionBits, 0, 255));
}

// Filters `lines` lines of `filter`'s input size; `line_step` and `step` are the distances, in
// pixels, from a line to the next and from a pixel to the next along the line.
struct Layout {
  int64_t line_step;
  int64_t step;
};

void FilterLines(const Filter& filter, int channels, int lines, const uint8_t* in, Layout in_layout,
                 uint8_t* out, Layout out_layout) {
  const int out_size = static_cast<int>(filter.first.size());
  for (int line = 0; line < lines; ++line) {
    for (int position = 0; position < out_size; ++position) {
      const int32_t* const weights = &filter.weights[int64_t{position} * filter.stride];
      const uint8_t* const from =
          in + (line * in_layout.line_step + filter.first[position] * in_layout.step) * channels;
      uint8_t* const to =
          out + (line * out_layout.line_step + position * out_layout.step) * channels;
      for (int c = 0; c < channels; ++c) {
        int32_t sum = 1 << (kFractionBits - 1);
        for (int i = 0; i < filter.count[position]; ++i) {
          sum += from[i * in_layout.step * channels + c] * weights[i];
        }
        to[c] = Round(sum);
      }
    }
  }
}

Image ResizeHorizontally(const Image& image, int width) {
  Image out{width, image.height, image.channels, {}};
  out.pixels.resize(int64_t{width} * image.height * image.channels);
  FilterLines(MakeFilter(image.width, width), image.channels, image.height, image.pixels.data(),
              {image.width, 1}, out.pixels.data(), {width, 1});
  return out;
}

Image ResizeVertically(const Image& image, int height) {
  Image out{image.width, height, image.channels, {}};
  out.pixels.resize(int64_t{image.width} * height * image.channels);
  FilterLines(MakeFilter(image.height, height), image.channels, image.width, image.pixels.data(),
              {1, image.width}, out.pixels.data(), {1, image.width});
  return out;
}

}  // namespace

Image ResizeBilinear(const Image& image, int width, int height) {
  if (image.width == width && image.height == height) return image;
  if (image.width == width) return ResizeVertically(image, height);
  if (image.height == height) return ResizeHorizontally(image, width);
  return ResizeVertically(ResizeHorizontally(image, width), height);
}

}  // namespace cytopress
