// Whether an exception is of memory that may be there the next time.
#ifndef CYTOPRESS_CORE_COMPRESSION_OUT_OF_MEMORY_H_
#define CYTOPRESS_CORE_COMPRESSION_OUT_OF_MEMORY_H_

#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// LibTorch's allocators say so in a c10::Error, those of CPUs and of GPUs in words of their own.
inline bool IsOutOfMemory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  if (torch_error == nullptr) return false;
  const absl::string_view what = torch_error->what_without_backtrace();
  return absl::StrContains(what, "can't allocate memory") ||
         absl::StrContains(what, "out of memory");
}

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_OUT_OF_MEMORY_H_
