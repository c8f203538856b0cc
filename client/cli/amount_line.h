// Shows how much of something is done: a line on standard error that is redrawn on a terminal,
// nothing elsewhere.
#ifndef CYTOPRESS_CLIENT_CLI_AMOUNT_LINE_H_
#define CYTOPRESS_CLIENT_CLI_AMOUNT_LINE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "client/cli/console.h"
#include "client/cli/redrawn_line.h"

namespace cytopress {

// How amounts are written.
struct AmountUnit {
  std::string (*part)(int64_t);
  std::string (*total)(int64_t);
};

// Not thread-safe.
class AmountLine {
 public:
  static AmountUnit Bytes();   // "12.3 MB of 41.0 MB"
  static AmountUnit Images();  // "1200 of 3840 images"

  // `action` begins the line ("sending").
  AmountLine(const Console& console, std::string action, const AmountUnit& unit,
             const Clock* clock = RealClock())
      : action_(std::move(action)),
        unit_(unit),
        line_(console.err, console.err_terminal, console.columns, clock) {}

  // "sending [####....] 12.3 MB of 41.0 MB  2.1 MB/s  ETA 13.7 s"; a `total` of 0 is not known.
  void Show(int64_t done, int64_t total);
  // "classifying [####....] 1200 of 3840 images  waiting for the server ...".
  void ShowWaiting(int64_t done, int64_t total);

 private:
  std::string Done(int64_t done, int64_t total) const;

  const std::string action_;
  const AmountUnit unit_;
  RedrawnLine line_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_AMOUNT_LINE_H_
