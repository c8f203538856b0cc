// Tells photographs that lack colour or brightness by their files.
#ifndef CYTOPRESS_CLIENT_CLI_COLOUR_NOTES_H_
#define CYTOPRESS_CLIENT_CLI_COLOUR_NOTES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

struct ImageKind {
  bool gray = false;  // of one channel; colours that are equal everywhere are not noticed
  bool dark = false;  // a PNG of 16 bits that uses less than an eighth of their range
};

// Of a PNG or JPEG, by its header; only PNGs of 16 bits are decoded. What cannot be read is
// neither.
ImageKind ReadImageKind(absl::string_view bytes);

// A sentence for each thing that is odd about `kinds`, for people. A model of three channels is
// taken for one that was trained on colour.
std::vector<std::string> ColourNotes(const v1::Model& model, const std::vector<ImageKind>& kinds);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_COLOUR_NOTES_H_
