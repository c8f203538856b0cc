#include "core/compression/augmentation.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace cytopress {
namespace {

constexpr double kPi = 3.14159265358979323846;

int64_t Below(std::mt19937_64& random, int64_t bound) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
}

// Where an output pixel comes from: a turn or flip of the source, then a shift.
struct Pose {
  bool flip_x = false, flip_y = false, transpose = false;
  int dx = 0, dy = 0;
};

Pose RandomPose(std::mt19937_64& random, const Augmentation& augmentation, bool square) {
  Pose pose;
  if (augmentation.flips) {
    const uint64_t bits = random();
    pose.flip_x = bits & 1;
    pose.flip_y = bits & 2;
    pose.transpose = square && (bits & 4);
  }
  if (augmentation.shift_pixels > 0) {
    const int range = 2 * augmentation.shift_pixels + 1;
    pose.dx = static_cast<int>(Below(random, range)) - augmentation.shift_pixels;
    pose.dy = static_cast<int>(Below(random, range)) - augmentation.shift_pixels;
  }
  return pose;
}

void CopyPosed(const uint8_t* from, const ImageShape& shape, const Pose& pose, uint8_t* to) {
  for (int y = 0; y < shape.height; ++y) {
    for (int x = 0; x < shape.width; ++x) {
      int sx = std::clamp(x + pose.dx, 0, shape.width - 1);
      int sy = std::clamp(y + pose.dy, 0, shape.height - 1);
      if (pose.flip_x) sx = shape.width - 1 - sx;
      if (pose.flip_y) sy = shape.height - 1 - sy;
      if (pose.transpose) std::swap(sx, sy);
      const uint8_t* source = from + (int64_t{sy} * shape.width + sx) * shape.channels;
      for (int c = 0; c < shape.channels; ++c) *to++ = source[c];
    }
  }
}

// Mirrors a position beyond the edge back into [0, last].
double Mirrored(double position, double last) {
  if (last <= 0) return 0;
  position = std::fmod(std::abs(position), 2 * last);
  return position > last ? 2 * last - position : position;
}

void Warp(const ImageShape& shape, const Augmentation& augmentation, std::mt19937_64& random,
          uint8_t* image) {
  const double angle =
      Uniform(random, -augmentation.rotate_degrees, augmentation.rotate_degrees) * kPi / 180;
  const double scale = 1 / (1 + Uniform(random, -augmentation.zoom, augmentation.zoom));
  const double cosine = std::cos(angle) * scale, sine = std::sin(angle) * scale;
  const double last_x = shape.width - 1, last_y = shape.height - 1;
  const std::vector<uint8_t> source(image,
                                    image + int64_t{shape.height} * shape.width * shape.channels);
  for (int y = 0; y < shape.height; ++y) {
    for (int x = 0; x < shape.width; ++x) {
      const double u = x - last_x / 2, v = y - last_y / 2;
      const double sx = Mirrored(cosine * u - sine * v + last_x / 2, last_x);
      const double sy = Mirrored(sine * u + cosine * v + last_y / 2, last_y);
      const int x0 = static_cast<int>(sx), y0 = static_cast<int>(sy);
      const int x1 = std::min(x0 + 1, shape.width - 1), y1 = std::min(y0 + 1, shape.height - 1);
      const double fx = sx - x0, fy = sy - y0;
      for (int c = 0; c < shape.channels; ++c) {
        const auto at = [&](int row, int column) -> double {
          return source[(int64_t{row} * shape.width + column) * shape.channels + c];
        };
        const double top = at(y0, x0) + fx * (at(y0, x1) - at(y0, x0));
        const double bottom = at(y1, x0) + fx * (at(y1, x1) - at(y1, x0));
        *image++ = static_cast<uint8_t>(top + fy * (bottom - top) + 0.5);
      }
    }
  }
}

// value -> gain of the channel * brightness * (mean + contrast * (value - mean))
void Shade(const ImageShape& shape, double jitter, std::mt19937_64& random, uint8_t* image) {
  const int64_t pixels = int64_t{shape.height} * shape.width;
  double mean = 0;
  for (int64_t i = 0; i < pixels * shape.channels; ++i) mean += image[i];
  mean /= static_cast<double>(std::max<int64_t>(pixels * shape.channels, 1));
  const double brightness = Uniform(random, 1 - jitter, 1 + jitter);
  const double contrast = Uniform(random, 1 - jitter, 1 + jitter);
  for (int c = 0; c < shape.channels; ++c) {
    const double gain =
        brightness * (shape.channels > 1 ? Uniform(random, 1 - jitter, 1 + jitter) : 1);
    for (int64_t i = 0; i < pixels; ++i) {
      uint8_t& value = image[i * shape.channels + c];
      value = static_cast<uint8_t>(
          std::clamp(gain * (mean + contrast * (value - mean)) + 0.5, 0.0, 255.0));
    }
  }
}

}  // namespace

Augmentation Augmentation::None() {
  Augmentation none;
  none.flips = false;
  none.shift_pixels = 0;
  return none;
}

Augmentation Augmentation::FromProto(const v1::TrainOptions& options) {
  Augmentation augmentation;
  augmentation.flips = !options.no_flips();
  augmentation.shift_pixels = std::max(options.shift_pixels(), 0);
  augmentation.rotate_degrees = options.rotate_degrees();
  augmentation.zoom = options.zoom();
  augmentation.color_jitter = options.color_jitter();
  return augmentation;
}

void Augment(const uint8_t* from, const ImageShape& shape, const Augmentation& augmentation,
             std::mt19937_64& random, uint8_t* to) {
  CopyPosed(from, shape, RandomPose(random, augmentation, shape.height == shape.width), to);
  const bool warps = augmentation.rotate_degrees > 0 || augmentation.zoom > 0;
  if (warps && random() % 2 == 0) {
    Warp(shape, augmentation, random, to);
  }
  if (augmentation.color_jitter > 0) Shade(shape, augmentation.color_jitter, random, to);
}

double Uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * static_cast<double>(random() >> 11) * 0x1p-53;
}

double BetaShare(std::mt19937_64& random, double alpha) {
  while (true) {
    const double a = std::pow(Uniform(random, 0, 1), 1 / alpha);
    const double b = std::pow(Uniform(random, 0, 1), 1 / alpha);
    if (a + b > 0 && a + b <= 1) return a / (a + b);
  }
}

}  // namespace cytopress
