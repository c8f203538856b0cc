// The raw bytes of one stored tensor inside its frame (docs/artifact-format.md).
#ifndef CYTOPRESS_CORE_ARTIFACT_TENSOR_CODEC_H_
#define CYTOPRESS_CORE_ARTIFACT_TENSOR_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/artifact/artifact.h"

namespace cytopress {

bool IsInteger(Encoding encoding);

// How a tensor's bytes are laid out.
struct TensorLayout {
  Encoding encoding = Encoding::kFloat32;
  std::vector<int64_t> shape;
  bool sparse = false;   // a mask of the values that are not zero, then those; else all values
  int64_t nonzeros = 0;  // a reader knows them of sparse tensors only
  int64_t group_size = 0;

  int64_t count() const;
};

// The layout that compresses better. REQUIRES: CheckTensor(tensor) is OK.
TensorLayout ChooseLayout(const StoredTensor& tensor);

// Bytes that a tensor takes. REQUIRES: the shape is not empty, its product small enough for a file.
int64_t PackedBytes(const TensorLayout& layout);

// REQUIRES: CheckTensor(tensor) is OK; a sparse layout is the tensor's own.
void AppendPacked(const StoredTensor& tensor, const TensorLayout& layout, std::string& out);

// The values are whatever the bytes say: CheckTensor judges them. INVALID_ARGUMENT when a mask does
// not have as many values as the layout says. REQUIRES: exactly PackedBytes bytes.
absl::StatusOr<StoredTensor> Unpack(absl::string_view bytes, const TensorLayout& layout);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_TENSOR_CODEC_H_
