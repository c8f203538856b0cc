// The commands about what was made: tables of it, and proof of it. As client/cli/commands.h.
#ifndef CYTOPRESS_CLIENT_CLI_REPORT_COMMANDS_H_
#define CYTOPRESS_CLIENT_CLI_REPORT_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "client/cli/cli.h"

namespace cytopress {

void AddReportCommands(CLI::App* app, CliContext* context);    // sweep, report
void AddReproduceCommand(CLI::App* app, CliContext* context);  // reproduce

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_REPORT_COMMANDS_H_
