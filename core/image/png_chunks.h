// What a PNG file holds besides its pixels.
#ifndef CYTOPRESS_CORE_IMAGE_PNG_CHUNKS_H_
#define CYTOPRESS_CORE_IMAGE_PNG_CHUNKS_H_

#include "absl/strings/string_view.h"

namespace cytopress {

// Whether `file` is a PNG with a compressed colour profile or text, which decoding expands: ten
// kilobytes may hold ten megabytes, however few pixels there are. Reads the headers of the chunks
// alone, and not past the end of what is damaged.
bool HasCompressedExtras(absl::string_view file);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_IMAGE_PNG_CHUNKS_H_
