#include "client/cli/scale_notes.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr int64_t kMostSquares = 3;  // of the model's, side by side on an image

std::string Note(int64_t odd, size_t all, const char* how, const v1::Model& model) {
  const int side = model.preprocessing().center_crop();
  return absl::StrFormat(
      "%d of %d images are %s the %dx%d pixels that %s looks at: the answers are wrong unless "
      "cells are as large in them as in the photographs that it was trained on; scale them first",
      odd, all, how, side, side, ToString(model));
}

}  // namespace

std::vector<std::string> ScaleNotes(const v1::Model& model, const std::vector<ImageSize>& sizes) {
  const v1::Preprocessing& preprocessing = model.preprocessing();
  const int64_t square = preprocessing.center_crop();
  if (square <= 0) return {};
  int64_t small = 0;
  int64_t large = 0;
  for (const ImageSize& size : sizes) {
    if (size.width == preprocessing.width() && size.height == preprocessing.height()) continue;
    const int64_t side = std::min(size.width, size.height);
    small += side < square ? 1 : 0;
    large += side > kMostSquares * square ? 1 : 0;
  }
  std::vector<std::string> notes;
  if (small > 0) notes.push_back(Note(small, sizes.size(), "smaller than", model));
  if (large > 0) {
    notes.push_back(Note(large, sizes.size(), "more than three times as wide as", model));
  }
  return notes;
}

}  // namespace cytopress
