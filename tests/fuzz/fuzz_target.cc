// One libFuzzer program per entry point; CYTOPRESS_FUZZ_ENTRY_POINT is its name.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/entry_points.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const cytopress::FuzzEntryPoint* const entry_point =
      cytopress::FindFuzzEntryPoint(CYTOPRESS_FUZZ_ENTRY_POINT);
  entry_point->run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
