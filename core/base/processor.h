// Which processor this is.
#ifndef CYTOPRESS_CORE_BASE_PROCESSOR_H_
#define CYTOPRESS_CORE_BASE_PROCESSOR_H_

#include <string>

namespace cytopress {

// The name that the system gives it and the widest 8-bit dot products that it has, for example "AMD
// EPYC 9655 (avx512-vnni)"; figures of speed belong to it.
std::string ProcessorName();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_PROCESSOR_H_
