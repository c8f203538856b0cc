// Draws a training image anew: turned, moved, grown, shaded.
#ifndef CYTOPRESS_CORE_COMPRESSION_AUGMENTATION_H_
#define CYTOPRESS_CORE_COMPRESSION_AUGMENTATION_H_

#include <cstdint>
#include <random>

#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// Cells have no up, no left and no fixed place, and stains differ from day to day.
struct Augmentation {
  bool flips = true;     // horizontal and vertical flips, and quarter turns of square images
  int shift_pixels = 2;  // up to so many pixels each way; 0 = none. Repeats the edge pixels
  // Interpolation blurs, and what is to be classified is sharp: half of the images are left out.
  double rotate_degrees = 0;  // up to so many degrees each way
  double zoom = 0;            // shrunk or grown by up to this share
  double color_jitter = 0;    // brightness, contrast and each channel's gain, up to this share

  static Augmentation None();
  static Augmentation FromProto(const v1::TrainOptions& options);
};

struct ImageShape {
  int height = 0, width = 0, channels = 0;
};

// Writes `from`, uint8 [height, width, channels], to `to`, as one draw of `random` has it. Flips,
// quarter turns and shifts move pixels; rotations and zooms interpolate bilinearly and mirror what
// lies outside. Thread-safe.
void Augment(const uint8_t* from, const ImageShape& shape, const Augmentation& augmentation,
             std::mt19937_64& random, uint8_t* to);

// In [low, high). The standard distributions differ between libraries; this does not.
double Uniform(std::mt19937_64& random, double low, double high);

// A share drawn from Beta(alpha, alpha), alpha in (0, 4]: M. D. Jöhnk, Metrika 8, 1964.
double BetaShare(std::mt19937_64& random, double alpha);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_AUGMENTATION_H_
