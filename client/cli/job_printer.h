// Shows how a job goes: one line that is redrawn on a terminal, plain lines elsewhere, and a line
// of the ledger as each stage ends.
#ifndef CYTOPRESS_CLIENT_CLI_JOB_PRINTER_H_
#define CYTOPRESS_CLIENT_CLI_JOB_PRINTER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/console.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// "train 3/12 [####......] 42 %  ETA 3:12 min  loss 0.512  val 91.30 %  212 img/s" in less than
// `columns`: figures are left out from the end, and of the stage's name what has no room.
std::string ProgressLine(const v1::Job& job, int columns);

// The ledger as one table, with a line where another attempt begins. Notes end at `columns`
// (Fitting in client/cli/console.h).
void PrintLedger(const google::protobuf::RepeatedPtrField<v1::LedgerEntry>& ledger,
                 std::ostream* out, int columns = 0);

// Not thread-safe.
class JobPrinter {
 public:
  explicit JobPrinter(const Console& console) : console_(console) {}
  // Leaves the cursor at the start of a line.
  ~JobPrinter() { ClearLine(); }
  JobPrinter(const JobPrinter&) = delete;
  JobPrinter& operator=(const JobPrinter&) = delete;

  // Shows what changed since the last call.
  void Show(const v1::Job& job);
  // A line of its own, above the one that is redrawn.
  void Note(absl::string_view text);

 private:
  void ShowAttempt(const v1::Job& job);
  void ShowWaiting(const v1::Job& job);
  void ShowLedger(const v1::Job& job);
  void ShowPlainProgress(const v1::Job& job);
  void ClearLine();

  const Console console_;
  bool line_drawn_ = false;
  int attempt_ = 0;
  int attempt_shown_ = 0;  // by a plain line of progress
  int ledger_lines_ = 0;
  std::string waiting_reason_;
  v1::JobState state_ = v1::JOB_STATE_UNSPECIFIED;
  v1::Progress progress_;  // last seen
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_JOB_PRINTER_H_
