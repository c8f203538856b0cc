// The commands, a file for each group. Each function adds its commands to the program; a command
// that was named on the command line puts its work into the context.
#ifndef CYTOPRESS_CLIENT_CLI_COMMANDS_H_
#define CYTOPRESS_CLIENT_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "client/cli/cli.h"

namespace cytopress {

// Of a list that is asked for in pages: the most that the service puts on one.
inline constexpr int kPageSize = 500;

void AddCompressCommand(CLI::App* app, CliContext* context);    // compress
void AddJobCommands(CLI::App* app, CliContext* context);        // jobs, watch, cancel
void AddModelCommands(CLI::App* app, CliContext* context);      // models, delete, download
void AddImportCommand(CLI::App* app, CliContext* context);      // import
void AddClassifyCommand(CLI::App* app, CliContext* context);    // classify
void AddEvaluateCommand(CLI::App* app, CliContext* context);    // evaluate
void AddDatasetCommands(CLI::App* app, CliContext* context);    // datasets show, datasets export
void AddCompletionCommand(CLI::App* app, CliContext* context);  // completion

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_COMMANDS_H_
