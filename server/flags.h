// The command line of cytopressd.
#ifndef CYTOPRESS_SERVER_FLAGS_H_
#define CYTOPRESS_SERVER_FLAGS_H_

#include <string>
#include <variant>
#include <vector>

#include "server/daemon.h"

namespace cytopress {

struct Flags {
  DaemonOptions daemon;
  std::vector<int> serving_cores;  // of the process but its workers; empty: all it may use
  std::string inference_device = "cpu";
  std::string gpu_module;  // path of what computes on cuda:N
  std::string log_level = "info";
};

// The flags, or the code to exit with at once: 0 after --help and --version, 2 for bad flags. What
// there is to say has been printed.
std::variant<Flags, int> ParseFlags(int argc, const char* const* argv);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_FLAGS_H_
