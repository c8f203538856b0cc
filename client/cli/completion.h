// Scripts by which shells complete command lines of the program.
#ifndef CYTOPRESS_CLIENT_CLI_COMPLETION_H_
#define CYTOPRESS_CLIENT_CLI_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>

namespace cytopress {

// CLI::Option::type_name() of what names a file or folder.
inline constexpr char kPath[] = "PATH";

enum class Shell { kBash, kZsh };

// Knows the commands of `app`, their flags, and the values that --help shows in braces.
std::string CompletionScript(const CLI::App& app, Shell shell);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_COMPLETION_H_
