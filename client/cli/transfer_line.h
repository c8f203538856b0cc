// Shows how far a file is on its way to or from a service: a line that is redrawn on a terminal,
// nothing elsewhere.
#ifndef CYTOPRESS_CLIENT_CLI_TRANSFER_LINE_H_
#define CYTOPRESS_CLIENT_CLI_TRANSFER_LINE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "client/cli/console.h"
#include "core/base/clock.h"

namespace cytopress {

// Not thread-safe.
class TransferLine {
 public:
  // `action` begins the line ("sending"). Nothing is drawn of what takes less than a second.
  TransferLine(const Console& console, std::string action, const Clock* clock = RealClock())
      : console_(console),
        action_(std::move(action)),
        clock_(clock),
        started_(clock->Steady()),
        due_(started_ + kFirst) {}
  // Takes the line away.
  ~TransferLine();
  TransferLine(const TransferLine&) = delete;
  TransferLine& operator=(const TransferLine&) = delete;

  // "sending [####....] 12.3 MB of 41.0 MB  2.1 MB/s  ETA 13.7 s"; a `total` of 0 is not known.
  void Show(int64_t bytes, int64_t total);

 private:
  static constexpr absl::Duration kFirst = absl::Seconds(1);
  static constexpr absl::Duration kInterval = absl::Milliseconds(200);

  const Console console_;
  const std::string action_;
  const Clock* const clock_;
  const absl::Duration started_;
  absl::Duration due_;  // of the next drawing
  bool drawn_ = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_TRANSFER_LINE_H_
