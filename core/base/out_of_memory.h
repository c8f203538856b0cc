// What exceptions of LibTorch say when memory is short.
#ifndef CYTOPRESS_CORE_BASE_OUT_OF_MEMORY_H_
#define CYTOPRESS_CORE_BASE_OUT_OF_MEMORY_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// Of the text of a c10::Error: its allocators, of CPUs and of GPUs, cuBLAS and cuDNN say so in
// words of their own.
inline bool SaysOutOfMemory(absl::string_view what) {
  return absl::StrContains(what, "can't allocate memory") ||
         absl::StrContains(what, "out of memory") ||
         absl::StrContains(what, "CUBLAS_STATUS_ALLOC_FAILED") ||
         absl::StrContains(what, "CUDNN_STATUS_ALLOC_FAILED");
}

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_OUT_OF_MEMORY_H_
