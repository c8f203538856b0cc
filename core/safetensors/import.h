// Models that were trained elsewhere, as model files.
#ifndef CYTOPRESS_CORE_SAFETENSORS_IMPORT_H_
#define CYTOPRESS_CORE_SAFETENSORS_IMPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/artifact/artifact.h"
#include "core/image/image.h"
#include "core/network/network.h"

namespace cytopress {

// What weights do not tell of their model.
struct ImportOptions {
  std::optional<Stem> stem;  // only asked for where the first convolution is 3x3
  // How its images were prepared. A single mean or standard deviation is that of all channels, and
  // none is outside of 0 to 1, where pixels are; the channels are the network's.
  Preprocessing preprocessing;
  // In the order of its outputs (CheckClassNames); empty: "class 0", ...
  std::vector<std::string> class_names;
  std::string source;  // for people: where the weights came from
};

// A PyTorch ResNet's weights (see RecognizeNetwork) in a safetensors file, as an FP32 model without
// scores. INVALID_ARGUMENT names what is wrong with the file or the option; what else no file may
// hold, such as names that are too long, SerializeArtifact refuses.
absl::StatusOr<Artifact> ImportSafetensors(absl::string_view bytes, const ImportOptions& options);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SAFETENSORS_IMPORT_H_
