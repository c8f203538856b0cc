// What a contender's model takes of the memory.
#ifndef CYTOPRESS_TESTS_BENCH_MEMORY_H_
#define CYTOPRESS_TESTS_BENCH_MEMORY_H_

#include <malloc.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace cytopress {

// Bytes of this process that are in RAM; what it has freed is given back first.
inline int64_t ResidentBytes() {
  malloc_trim(0);
  int64_t total_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_MEMORY_H_
