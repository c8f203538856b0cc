// Drawing of soft-edged shapes: masks say where, the canvas gets the colour. Positions and lengths
// are fractions of the canvas's side. Only operations that round alike on every machine are used.
#ifndef CYTOPRESS_CORE_DATASET_CANVAS_H_
#define CYTOPRESS_CORE_DATASET_CANVAS_H_

#include <array>
#include <vector>

#include "core/dataset/random.h"
#include "core/image/image.h"

namespace cytopress {

struct Point {
  double x = 0;
  double y = 0;
};

inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
inline Point operator*(Point a, double scale) { return {a.x * scale, a.y * scale}; }
double Distance(Point a, Point b);

// (cos, sin) of 2 pi `turns`.
Point Direction(double turns);

struct Colour {
  float r = 0;
  float g = 0;
  float b = 0;
};

// An ellipse whose outline waves: radius times 1 + sum of wave[k] cos(k angle + phase).
struct Blob {
  Point center;
  double radius_x = 0;
  double radius_y = 0;
  Point axis = {1, 0};  // unit vector, direction of radius_x
  // Amplitude (cosine and sine part) of 2 to 5 waves around the outline.
  std::array<Point, 4> waves = {};
};

// Smooth noise in [-1, 1] over the canvas.
class Texture {
 public:
  explicit Texture(Random* random);
  double At(double x, double y) const;

 private:
  static constexpr int kCells = 16;
  std::vector<float> lattice_;
};

// Coverage in [0, 1] of every pixel. Not thread-safe.
class Mask {
 public:
  explicit Mask(int size) : size_(size), coverage_(static_cast<size_t>(size) * size, 0.0f) {}
  void Add(const Blob& blob);
  void AddDisc(Point center, double radius);
  // A line with round ends.
  void AddStroke(Point from, Point to, double radius);
  void Subtract(const Blob& blob);
  void IntersectWith(const Mask& other);
  int size() const { return size_; }
  float at(int x, int y) const { return coverage_[static_cast<size_t>(y) * size_ + x]; }

 private:
  template <typename SignedDistance>
  void Combine(Point low, Point high, bool add, const SignedDistance& distance);

  int size_;
  std::vector<float> coverage_;
};

// Not thread-safe.
class Canvas {
 public:
  Canvas(int size, Colour fill) : size_(size), pixels_(static_cast<size_t>(size) * size, fill) {}
  // Blends `colour`, made darker and lighter by up to `grain` of itself, over where the mask is.
  void Paint(const Mask& mask, Colour colour, double opacity, const Texture& texture, double grain);
  int size() const { return size_; }
  Colour& at(int x, int y) { return pixels_[static_cast<size_t>(y) * size_ + x]; }
  // Rounded and clipped to bytes, RGB.
  Image ToImage() const;

 private:
  int size_;
  std::vector<Colour> pixels_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_CANVAS_H_
