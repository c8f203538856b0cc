// Tells photographs that lack colour or brightness, or show nothing at all.
#ifndef CYTOPRESS_CLIENT_CLI_COLOUR_NOTES_H_
#define CYTOPRESS_CLIENT_CLI_COLOUR_NOTES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/image_note.h"
#include "core/image/image.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

struct ImageKind {
  bool gray = false;        // of one channel, or of three that are nearly equal
  bool one_colour = false;  // all over, nearly
  bool dark = false;        // a PNG of 16 bits that uses less than an eighth of their range
  bool looked_at = false;   // was decoded: else `gray` is by the header, `one_colour` not known
};

// Which images of a run are decoded to look at their colours: all of a small one; of others 500,
// evenly spread, and no more than have 64 million pixels together. That takes about half a second
// of a run that takes many.
class ColourSample {
 public:
  explicit ColourSample(size_t images);
  // To be asked once for an image.
  bool Takes(size_t image, const ImageSize& size);

 private:
  const size_t step_;
  int64_t pixels_left_;
};

// Of a PNG or JPEG, by its header and, if it is to `look`, by its pixels; PNGs of 16 bits are
// decoded anyway. What cannot be read is nothing of it.
ImageKind ReadImageKind(absl::string_view bytes, bool look);

// "gray", "one colour" and "dark": those of `kinds` that are odd. What is of one colour is not
// called gray, too. A model of three channels is taken for one that was trained on colour. Where
// some were not looked at, there may be more.
std::vector<ImageNote> ColourNotes(const v1::Model& model, const std::vector<ImageKind>& kinds);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_COLOUR_NOTES_H_
