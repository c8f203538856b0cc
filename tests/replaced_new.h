// `operator new` and `operator delete` of the whole program, in place of the C++ library's, by what
// the test makes of Allocate. To be included by one file of a program.
#ifndef CYTOPRESS_TESTS_REPLACED_NEW_H_
#define CYTOPRESS_TESTS_REPLACED_NEW_H_

#include <cstddef>
#include <cstdlib>
#include <new>

namespace cytopress {

// Memory of AllocateOf(bytes), or null where there is to be none. Called from all threads.
void* Allocate(size_t bytes);

inline void* AllocateOf(size_t bytes) { return std::malloc(bytes == 0 ? 1 : bytes); }

}  // namespace cytopress

// Not inlined: GCC would take free() for a mistake.
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (void* const memory = cytopress::Allocate(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return cytopress::Allocate(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

#endif  // CYTOPRESS_TESTS_REPLACED_NEW_H_
