// How errors are shown: what has happened, and what to do about it.
#ifndef CYTOPRESS_CLIENT_CLI_COMPLAINT_H_
#define CYTOPRESS_CLIENT_CLI_COMPLAINT_H_

#include "absl/status/status.h"
#include "client/cli/cli.h"
#include "client/cli/usage.h"

namespace cytopress {

// On standard error, as JSON where that is asked for. The errors that everybody meets once get a
// hint.
void PrintError(const absl::Status& status, CliContext* context);
void PrintUsageError(const UsageError& error, CliContext* context);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_COMPLAINT_H_
