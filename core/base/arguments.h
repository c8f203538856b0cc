// Arguments of a program on their way to CLI11, which parses them, and those that it did not take.
#ifndef CYTOPRESS_CORE_BASE_ARGUMENTS_H_
#define CYTOPRESS_CORE_BASE_ARGUMENTS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cytopress {

// The arguments after the program's name, the last first, which is how CLI::App::parse takes them.
// "--flag=" becomes "--flag" and "": CLI11 would take the argument that comes next as the value.
// What follows "--" stays as it is.
std::vector<std::string> ArgumentsToParse(int argc, const char* const* argv);

// "; did you mean ...?" with the one of `known` that is next to `word` and at most two letters away
// from it, or nothing.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known);

// Whether a flag was among what `app` has parsed that neither it nor a command of it has.
bool HasUnknownFlag(const CLI::App& app);

// What nobody has taken, as it was typed, and of the first unknown flag which one it is like.
std::string NotExpected(const CLI::App& app);

// For CLI::App::failure_message of programs without commands. An unknown flag goes before all else
// that is wrong, for what is missing may be what was mistyped.
std::string UsageMessage(const CLI::App* app, const CLI::Error& error);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_ARGUMENTS_H_
