// The file format safetensors (Hugging Face, https://github.com/huggingface/safetensors, "Format"):
// named arrays, and nothing that is executed when they are read.
#ifndef CYTOPRESS_CORE_SAFETENSORS_SAFETENSORS_H_
#define CYTOPRESS_CORE_SAFETENSORS_SAFETENSORS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/network/network.h"

namespace cytopress {

// Its tensors of floating-point numbers (F64, F32, F16, BF16) as FP32; those of other types, such
// as the counters of batch norms, are left out. INVALID_ARGUMENT says what is wrong with the bytes;
// no memory is taken for what they only claim to hold, nor for tensors that overlap.
absl::StatusOr<TensorMap> ReadSafetensors(absl::string_view bytes);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SAFETENSORS_SAFETENSORS_H_
