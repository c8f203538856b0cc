// Which processor this is.
#ifndef CYTOPRESS_CORE_BASE_PROCESSOR_H_
#define CYTOPRESS_CORE_BASE_PROCESSOR_H_

#include <string>

#include "absl/strings/string_view.h"

namespace cytopress {

// The name that the system gives it and the widest 8-bit dot products that it has, for example "AMD
// EPYC 9655 (avx512-vnni)"; figures of speed belong to it.
std::string ProcessorName();

// "amx-int8", "avx512-vnni", "avx-vnni", "avx2" or "x86-64", from the flags of an x86 processor in
// /proc/cpuinfo, which knows what the kernel allows and needs no compiler that does; "portable" of
// none.
std::string WidestDotProducts(absl::string_view cpu_flags);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_PROCESSOR_H_
