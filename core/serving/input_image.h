// An image of a request, and what a network gets of it.
#ifndef CYTOPRESS_CORE_SERVING_INPUT_IMAGE_H_
#define CYTOPRESS_CORE_SERVING_INPUT_IMAGE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/image/image.h"

namespace cytopress {

// One image as it was sent. The bytes are the caller's and must stay until the request is answered.
struct InputImage {
  bool raw = false;
  // A PNG or JPEG file or, if raw, width * height * channels values of uint8 (HWC).
  absl::string_view bytes;
  int width = 0;  // raw only, as the two below
  int height = 0;
  int channels = 0;
};

// Decodes, crops and scales `input` into `pixels`, which has room for a network's input. Errors as
// DecodeImage and Preprocess; RESOURCE_EXHAUSTED without memory.
absl::Status PrepareImage(const InputImage& input, const Preprocessing& preprocessing,
                          const DecodeLimits& limits, uint8_t* pixels);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_INPUT_IMAGE_H_
