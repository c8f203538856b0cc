// The process's memory.
#ifndef CYTOPRESS_CORE_BASE_MEMORY_H_
#define CYTOPRESS_CORE_BASE_MEMORY_H_

namespace cytopress {

// Gives freed memory back to the system, of which glibc would keep much. Takes milliseconds and
// holds up allocations meanwhile. Thread-safe.
void ReturnFreedMemory();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_MEMORY_H_
