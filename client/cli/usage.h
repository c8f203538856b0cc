// What is wrong with a command line, in words that say what to do.
#ifndef CYTOPRESS_CLIENT_CLI_USAGE_H_
#define CYTOPRESS_CLIENT_CLI_USAGE_H_

#include <CLI/CLI.hpp>
#include <string>

namespace cytopress {

struct UsageError {
  std::string message;
  std::string hint;
};

// Of what CLI11 has found while `app` parsed.
UsageError ExplainUsageError(const CLI::App& app, const CLI::ParseError& error);

// Whether a command is wanted and no word stands in its place.
bool LacksCommand(const CLI::App& app, const CLI::ParseError& error);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_USAGE_H_
