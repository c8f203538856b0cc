// A line of a terminal that is drawn over again while something goes on.
#ifndef CYTOPRESS_CLIENT_CLI_REDRAWN_LINE_H_
#define CYTOPRESS_CLIENT_CLI_REDRAWN_LINE_H_

#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace cytopress {

// Not thread-safe.
class RedrawnLine {
 public:
  // Nothing is drawn where `out` is no terminal, nor of what takes less than a second.
  RedrawnLine(std::ostream* out, bool is_terminal, int columns, const Clock* clock)
      : out_(out),
        is_terminal_(is_terminal),
        columns_(columns),
        clock_(clock),
        started_(clock->Steady()),
        due_(started_ + absl::Seconds(1)) {}
  // Takes the line away.
  ~RedrawnLine();
  RedrawnLine(const RedrawnLine&) = delete;
  RedrawnLine& operator=(const RedrawnLine&) = delete;

  bool IsDue() const { return is_terminal_ && clock_->Steady() >= due_; }
  // Since it began.
  double seconds() const { return absl::ToDoubleSeconds(clock_->Steady() - started_); }
  // Cut to the columns of the terminal. REQUIRES: it is due.
  void Draw(const std::string& text);

 private:
  std::ostream* const out_;
  const bool is_terminal_;
  const int columns_;
  const Clock* const clock_;
  const absl::Duration started_;
  absl::Duration due_;  // of the next drawing
  bool drawn_ = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_REDRAWN_LINE_H_
