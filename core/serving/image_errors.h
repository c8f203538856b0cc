// What is said of a request some of whose images are bad.
#ifndef CYTOPRESS_CORE_SERVING_IMAGE_ERRORS_H_
#define CYTOPRESS_CORE_SERVING_IMAGE_ERRORS_H_

#include <map>

#include "absl/status/status.h"

namespace cytopress {

// One error of the errors of images, by their indices; OK where there are none. INVALID_ARGUMENT
// with the first of them as violated fields "images[i]", and how many there are. CANCELLED,
// DEADLINE_EXCEEDED and RESOURCE_EXHAUSTED, which no image is the reason of, come before.
absl::Status Summarize(const std::map<int, absl::Status>& bad_images);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_IMAGE_ERRORS_H_
