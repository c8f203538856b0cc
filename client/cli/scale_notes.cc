#include "client/cli/scale_notes.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr int64_t kMostSquares = 3;  // of the model's, side by side on an image

void AddNote(const char* name, const char* how, std::vector<size_t> images, size_t all,
             const v1::Model& model, std::vector<ImageNote>* notes) {
  if (images.empty()) return;
  const int side = model.preprocessing().center_crop();
  std::string text = absl::StrFormat(
      "%s %s the %dx%d pixels that %s looks at: the answers are wrong unless cells are as large "
      "there as in the photographs that it was trained on; scale such images first",
      HowMany(images.size(), all), how, side, side, ToString(model));
  notes->push_back({name, std::move(images), std::move(text)});
}

}  // namespace

std::vector<ImageNote> ScaleNotes(const v1::Model& model, const std::vector<ImageSize>& sizes) {
  const v1::Preprocessing& preprocessing = model.preprocessing();
  const int64_t square = preprocessing.center_crop();
  if (square <= 0) return {};
  std::vector<size_t> small, large;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const ImageSize& size = sizes[i];
    if (size.width == preprocessing.width() && size.height == preprocessing.height()) continue;
    const int64_t side = std::min(size.width, size.height);
    if (side < square) small.push_back(i);
    if (side > kMostSquares * square) large.push_back(i);
  }
  std::vector<ImageNote> notes;
  AddNote("small", "smaller than", std::move(small), sizes.size(), model, &notes);
  AddNote("large", "more than three times as wide as", std::move(large), sizes.size(), model,
          &notes);
  return notes;
}

}  // namespace cytopress
