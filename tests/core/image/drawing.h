// A small picture by formula, which other programs can draw too.
#ifndef CYTOPRESS_TESTS_CORE_IMAGE_DRAWING_H_
#define CYTOPRESS_TESTS_CORE_IMAGE_DRAWING_H_

#include "core/image/image.h"

namespace cytopress {

inline Image DrawPattern(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const int value = x * x * 3 + y * 7 * (c + 1) + x * y + ((x / 3 + y / 2) % 2) * 90;
        image.pixels.push_back(static_cast<uint8_t>(value % 256));
      }
    }
  }
  return image;
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_IMAGE_DRAWING_H_
