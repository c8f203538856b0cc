// What is fuzzed: every parser of bytes from outside, in memory, with small limits. An entry point
// crashes when the parser does, or when what it returned breaks its contract.
#ifndef CYTOPRESS_TESTS_FUZZ_ENTRY_POINTS_H_
#define CYTOPRESS_TESTS_FUZZ_ENTRY_POINTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cytopress {

struct FuzzEntryPoint {
  const char* name;
  void (*run)(absl::string_view bytes);
  std::vector<std::string> (*seeds)();  // valid inputs, to start from
  int variants = 3000;                  // of a seed, in the replay test: a second or two
};

// "image" (DecodeImage), "npz" (LoadNpz), "npy" (the header's dictionary), "zip" (all members),
// "manifest" (ParseArtifact, of a model file with this manifest), "safetensors"
// (ImportSafetensors).
const std::vector<FuzzEntryPoint>& FuzzEntryPoints();

// Null when there is none.
const FuzzEntryPoint* FindFuzzEntryPoint(absl::string_view name);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_FUZZ_ENTRY_POINTS_H_
