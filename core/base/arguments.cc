#include "core/base/arguments.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace cytopress {

std::vector<std::string> ArgumentsToParse(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  bool flags = true;
  const auto is_flag_without_value = [&flags](absl::string_view argument) {
    return flags && argument.size() > 3 && absl::StartsWith(argument, "--") &&
           argument.find('=') == argument.size() - 1;
  };
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    flags = flags && argument != "--";
    if (is_flag_without_value(argument)) {
      arguments.emplace_back(argument.substr(0, argument.size() - 1));
      arguments.emplace_back();
    } else {
      arguments.emplace_back(argument);
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

}  // namespace cytopress
