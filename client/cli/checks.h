// Checks of flags, whose messages say what is allowed.
#ifndef CYTOPRESS_CLIENT_CLI_CHECKS_H_
#define CYTOPRESS_CLIENT_CLI_CHECKS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cytopress {

CLI::Validator Positive();                              // a number above 0
CLI::Validator NotNegative();                           // a number of at least 0
CLI::Validator AtLeast(uint64_t least);                 // a whole number
CLI::Validator Between(uint64_t least, uint64_t most);  // a whole number
CLI::Validator Share();                                 // a number of at least 0 and below 1
CLI::Validator Bytes();                                 // a number of at least 1
CLI::Validator Timeout();                               // seconds, from a thousandth to 30 days
CLI::Validator Address();                               // of a server

// One of `names`, which --help shows in braces. Goes to CLI::Option::transform: capitals are taken,
// and the value is then as in `names`.
CLI::Validator OneOf(const std::vector<std::string>& names);

template <typename Value>
CLI::Validator OneOf(const std::map<std::string, Value>& by_name) {
  std::vector<std::string> names;
  for (const auto& entry : by_name) names.push_back(entry.first);
  return OneOf(names);
}

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CHECKS_H_
