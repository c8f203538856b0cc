#include "core/dataset/canvas.h"

#include <algorithm>
#include <cmath>

namespace cytopress {
namespace {

// Length of the edge from fully covered to bare, in pixels.
constexpr double kEdgePixels = 1.2;

float Clip01(double x) { return static_cast<float>(std::min(1.0, std::max(0.0, x))); }

// 1 + sum of the waves in direction (c, s), by powers of the complex number c + is.
double Outline(const Blob& blob, double c, double s) {
  double outline = 1;
  double re = c, im = s;
  for (const Point& wave : blob.waves) {
    const double next = re * c - im * s;
    im = re * s + im * c;
    re = next;
    outline += wave.x * re + wave.y * im;
  }
  return outline;
}

// Roughly the distance inside the outline; negative outside.
double DistanceInside(const Blob& blob, Point p) {
  const Point d = {p.x - blob.center.x, p.y - blob.center.y};
  const double u = (d.x * blob.axis.x + d.y * blob.axis.y) / blob.radius_x;
  const double v = (d.y * blob.axis.x - d.x * blob.axis.y) / blob.radius_y;
  const double r = std::sqrt(u * u + v * v);
  const double smaller = std::min(blob.radius_x, blob.radius_y);
  if (r < 1e-6) return smaller;
  return (Outline(blob, u / r, v / r) - r) * smaller;
}

double Reach(const Blob& blob) {
  double waves = 1;
  for (const Point& wave : blob.waves) waves += std::sqrt(wave.x * wave.x + wave.y * wave.y);
  return std::max(blob.radius_x, blob.radius_y) * waves;
}

}  // namespace

double Distance(Point a, Point b) {
  return std::sqrt((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y));
}

Point Direction(double turns) {
  const int quarter = static_cast<int>(std::floor(turns * 4 + 0.5));
  const double x = (turns - quarter * 0.25) * 6.283185307179586;  // within an eighth of a turn
  const double x2 = x * x;
  // Taylor series; the next terms are below 1e-12.
  const double s =
      x * (1 - x2 / 6 * (1 - x2 / 20 * (1 - x2 / 42 * (1 - x2 / 72 * (1 - x2 / 110)))));
  const double c =
      1 - x2 / 2 * (1 - x2 / 12 * (1 - x2 / 30 * (1 - x2 / 56 * (1 - x2 / 90 * (1 - x2 / 132)))));
  switch (quarter & 3) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

Texture::Texture(Random* random) {
  lattice_.reserve(kCells * kCells);
  for (int i = 0; i < kCells * kCells; ++i) {
    lattice_.push_back(static_cast<float>(random->Uniform(-1, 1)));
  }
}

double Texture::At(double x, double y) const {
  const double u = std::max(0.0, x) * (kCells - 1.001);
  const double v = std::max(0.0, y) * (kCells - 1.001);
  const int i = std::min(static_cast<int>(u), kCells - 2);
  const int j = std::min(static_cast<int>(v), kCells - 2);
  const double a = u - i, b = v - j;
  const float* const at = &lattice_[j * kCells + i];
  return (1 - b) * ((1 - a) * at[0] + a * at[1]) + b * ((1 - a) * at[kCells] + a * at[kCells + 1]);
}

template <typename SignedDistance>
void Mask::Combine(Point low, Point high, bool add, const SignedDistance& distance) {
  const double margin = kEdgePixels / size_;
  const int x0 = std::max(0, static_cast<int>((low.x - margin) * size_));
  const int y0 = std::max(0, static_cast<int>((low.y - margin) * size_));
  const int x1 = std::min(size_, static_cast<int>((high.x + margin) * size_) + 1);
  const int y1 = std::min(size_, static_cast<int>((high.y + margin) * size_) + 1);
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      const double inside = distance(Point{(x + 0.5) / size_, (y + 0.5) / size_});
      const float covered = Clip01(inside * size_ / kEdgePixels + 0.5);
      float& pixel = coverage_[static_cast<size_t>(y) * size_ + x];
      pixel = add ? std::max(pixel, covered) : std::min(pixel, 1 - covered);
    }
  }
}

void Mask::Add(const Blob& blob) {
  const double reach = Reach(blob);
  Combine(blob.center + Point{-reach, -reach}, blob.center + Point{reach, reach}, /*add=*/true,
          [&blob](Point p) { return DistanceInside(blob, p); });
}

void Mask::AddDisc(Point center, double radius) {
  Combine(center + Point{-radius, -radius}, center + Point{radius, radius}, /*add=*/true,
          [center, radius](Point p) { return radius - Distance(p, center); });
}

void Mask::AddStroke(Point from, Point to, double radius) {
  const Point low = {std::min(from.x, to.x) - radius, std::min(from.y, to.y) - radius};
  const Point high = {std::max(from.x, to.x) + radius, std::max(from.y, to.y) + radius};
  const Point way = {to.x - from.x, to.y - from.y};
  const double length2 = std::max(1e-12, way.x * way.x + way.y * way.y);
  Combine(low, high, /*add=*/true, [from, way, length2, radius](Point p) {
    const double along = ((p.x - from.x) * way.x + (p.y - from.y) * way.y) / length2;
    return radius - Distance(p, from + way * std::min(1.0, std::max(0.0, along)));
  });
}

void Mask::Subtract(const Blob& blob) {
  const double reach = Reach(blob);
  Combine(blob.center + Point{-reach, -reach}, blob.center + Point{reach, reach}, /*add=*/false,
          [&blob](Point p) { return DistanceInside(blob, p); });
}

void Mask::IntersectWith(const Mask& other) {
  for (size_t i = 0; i < coverage_.size(); ++i) coverage_[i] *= other.coverage_[i];
}

void Canvas::Paint(const Mask& mask, Colour colour, double opacity, const Texture& texture,
                   double grain) {
  for (int y = 0; y < size_; ++y) {
    for (int x = 0; x < size_; ++x) {
      const float covered = mask.at(x, y);
      if (covered == 0) continue;
      double shade = 1;
      if (grain != 0) shade += grain * texture.At((x + 0.5) / size_, (y + 0.5) / size_);
      const float tone = static_cast<float>(shade);
      const float blend = covered * static_cast<float>(opacity);
      Colour& pixel = at(x, y);
      pixel.r += (colour.r * tone - pixel.r) * blend;
      pixel.g += (colour.g * tone - pixel.g) * blend;
      pixel.b += (colour.b * tone - pixel.b) * blend;
    }
  }
}

Image Canvas::ToImage() const {
  Image image{size_, size_, 3, {}};
  image.pixels.reserve(pixels_.size() * 3);
  for (const Colour& pixel : pixels_) {
    for (const float value : {pixel.r, pixel.g, pixel.b}) {
      image.pixels.push_back(static_cast<uint8_t>(std::min(255.0f, std::max(0.0f, value + 0.5f))));
    }
  }
  return image;
}

}  // namespace cytopress
