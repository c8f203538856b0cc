// Shows how far a file is on its way to or from a service: a line on standard error that is redrawn
// on a terminal, nothing elsewhere.
#ifndef CYTOPRESS_CLIENT_CLI_TRANSFER_LINE_H_
#define CYTOPRESS_CLIENT_CLI_TRANSFER_LINE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "client/cli/console.h"
#include "client/cli/redrawn_line.h"

namespace cytopress {

// Not thread-safe.
class TransferLine {
 public:
  // `action` begins the line ("sending").
  TransferLine(const Console& console, std::string action, const Clock* clock = RealClock())
      : action_(std::move(action)),
        line_(console.err, console.err_terminal, console.columns, clock) {}

  // "sending [####....] 12.3 MB of 41.0 MB  2.1 MB/s  ETA 13.7 s"; a `total` of 0 is not known.
  void Show(int64_t bytes, int64_t total);

 private:
  const std::string action_;
  RedrawnLine line_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_TRANSFER_LINE_H_
