#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "client/cli/cli.h"
#include "core/base/help.h"

int main(int argc, char** argv) {
  // A failed connection is reported by the program, not by gRPC's log.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  cytopress::Console console;
  console.out = &std::cout;
  console.err = &std::cerr;
  console.terminal = isatty(STDOUT_FILENO) != 0;
  console.err_terminal = isatty(STDERR_FILENO) != 0;
  console.columns = cytopress::TerminalColumns();
  return cytopress::RunCli(argc, argv, console);
}
