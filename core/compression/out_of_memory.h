// Whether an exception is of memory that may be there the next time.
#ifndef CYTOPRESS_CORE_COMPRESSION_OUT_OF_MEMORY_H_
#define CYTOPRESS_CORE_COMPRESSION_OUT_OF_MEMORY_H_

#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "core/base/out_of_memory.h"

namespace cytopress {

inline bool IsOutOfMemory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  return torch_error != nullptr && SaysOutOfMemory(torch_error->what_without_backtrace());
}

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_OUT_OF_MEMORY_H_
