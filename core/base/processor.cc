#include "core/base/processor.h"

#include <fstream>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cytopress {
namespace {

// Of the first processor in /proc/cpuinfo; `missing` when there is no such line.
std::string CpuinfoLine(absl::string_view name, const std::string& missing) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::StripAsciiWhitespace(parts.first) == name) {
      return std::string(absl::StripAsciiWhitespace(parts.second));
    }
  }
  return missing;
}

}  // namespace

std::string WidestDotProducts(absl::string_view cpu_flags) {
  if (cpu_flags.empty()) return "portable";
  const std::set<absl::string_view> flags = absl::StrSplit(cpu_flags, ' ');
  if (flags.count("amx_int8") != 0) return "amx-int8";
  if (flags.count("avx512_vnni") != 0) return "avx512-vnni";
  if (flags.count("avx_vnni") != 0) return "avx-vnni";
  if (flags.count("avx2") != 0) return "avx2";
  return "x86-64";
}

std::string ProcessorName() {
  return absl::StrCat(CpuinfoLine("model name", "unknown processor"), " (",
                      WidestDotProducts(CpuinfoLine("flags", "")), ")");
}

}  // namespace cytopress
