#include "client/cli/image_note.h"

#include "absl/strings/str_cat.h"

namespace cytopress {

std::string HowMany(size_t some, size_t all) {
  if (all == 1) return "the image is";
  return absl::StrCat(some, " of ", all, some == 1 ? " images is" : " images are");
}

}  // namespace cytopress
