#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "client/cli/cli.h"

namespace {

constexpr int kDefaultColumns = 80;

int TerminalColumns() {
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    winsize size = {};
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  return kDefaultColumns;
}

}  // namespace

int main(int argc, char** argv) {
  // A failed connection is reported by the program, not by gRPC's log.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  cytopress::Console console;
  console.out = &std::cout;
  console.err = &std::cerr;
  console.terminal = isatty(STDOUT_FILENO) != 0;
  console.err_terminal = isatty(STDERR_FILENO) != 0;
  console.columns = TerminalColumns();
  return cytopress::RunCli(argc, argv, console);
}
