// Tells photographs of the wrong scale by their sizes.
#ifndef CYTOPRESS_CLIENT_CLI_SCALE_NOTES_H_
#define CYTOPRESS_CLIENT_CLI_SCALE_NOTES_H_

#include <vector>

#include "client/cli/image_note.h"
#include "core/image/image.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

// "small" and "large": those of `sizes` that are odd. What scale the photographs had
// that a model was trained on is stored nowhere, but the square that it cuts from their centres is:
// an image whose smaller side is below that square's is not cut as they were, and of one whose
// smaller side is more than three times as long (of those that the ready-made models come from,
// 1.8 times) the model sees less than a ninth. A wrong scale in between is not noticed, nor is any
// of a model without such a square. Images of the network's own size are taken as they are.
std::vector<ImageNote> ScaleNotes(const v1::Model& model, const std::vector<ImageSize>& sizes);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_SCALE_NOTES_H_
