// write_seeds FOLDER: writes every entry point's seeds to FOLDER/NAME/ for a fuzzer to start from.
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/fuzz/entry_points.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  for (const cytopress::FuzzEntryPoint& entry_point : cytopress::FuzzEntryPoints()) {
    const std::string folder = absl::StrCat(argv[1], "/", entry_point.name);
    absl::Status status = cytopress::MakeDirectories(folder);
    int index = 0;
    for (const std::string& seed : entry_point.seeds()) {
      if (status.ok()) {
        status = cytopress::WriteFileAtomically(absl::StrCat(folder, "/", index++), seed);
      }
    }
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  return 0;
}
