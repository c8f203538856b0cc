// Images to send.
#ifndef CYTOPRESS_TESTS_BENCH_LOAD_IMAGES_H_
#define CYTOPRESS_TESTS_BENCH_LOAD_IMAGES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cytopress {

// `source` is "png28", drawn cells of 28 x 28 pixels, or a folder of PNG and JPEG files, such as
// photographs. The bytes of each image.
absl::StatusOr<std::vector<std::string>> LoadImages(const std::string& source);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_LOAD_IMAGES_H_
