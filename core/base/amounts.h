// Amounts as people read them.
#ifndef CYTOPRESS_CORE_BASE_AMOUNTS_H_
#define CYTOPRESS_CORE_BASE_AMOUNTS_H_

#include <cstdint>
#include <string>

namespace cytopress {

// "23.5 MB", decimal units.
std::string ReadableBytes(int64_t bytes);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_AMOUNTS_H_
