#include "client/cli/job_printer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/jobs/job_state.h"

namespace cytopress {
namespace {

constexpr int kWidestBar = 24;
constexpr int kNarrowestBar = 8;

std::string StageAndEpoch(const v1::Progress& progress) {
  std::string text = Printable(progress.stage());
  if (progress.epoch() > 0) {
    absl::StrAppend(&text, " ", progress.epoch(), "/", progress.epochs());
  }
  return text;
}

std::string Figures(const v1::Progress& progress) {
  std::string text;
  if (progress.loss() > 0) absl::StrAppendFormat(&text, "  loss %.3f", progress.loss());
  if (progress.validation_accuracy() > 0) {
    absl::StrAppend(&text, "  val ", FormatPercent(progress.validation_accuracy()));
  }
  if (progress.images_per_second() > 0) {
    absl::StrAppendFormat(&text, "  %.0f img/s", progress.images_per_second());
  }
  if (progress.eta_seconds() > 0) {
    absl::StrAppend(&text, "  ETA ", FormatSeconds(progress.eta_seconds()));
  }
  return text;
}

// What the collapse guard said, below its line.
std::string GuardLine(const v1::LedgerEntry& entry) {
  return absl::StrCat("  ! guard: ", Printable(entry.guard()));
}

const std::vector<std::string>& LedgerHeadings() {
  static const auto* const kHeadings = new std::vector<std::string>{
      "stage", ">time", ">val ACC", ">val AUC", ">sparsity", ">packed", ">on disk", "note"};
  return *kHeadings;
}

std::vector<std::string> LedgerCells(const v1::LedgerEntry& entry) {
  const auto bytes = [](int64_t count) { return count == 0 ? "-" : FormatBytes(count); };
  return {Printable(entry.stage()),
          FormatSeconds(entry.seconds()),
          entry.has_validation_accuracy() ? FormatPercent(entry.validation_accuracy()) : "-",
          entry.has_validation_auc() ? FormatFigure(entry.validation_auc()) : "-",
          FormatPercent(entry.sparsity(), 1),
          bytes(entry.packed_bytes()),
          bytes(entry.disk_bytes()),
          Printable(entry.note())};
}

// Fixed widths, because the lines come one at a time. The note as Fitting has it.
std::string LedgerLine(const std::vector<std::string>& cells, int columns) {
  const std::string figures =
      absl::StrFormat("%-22s %11s %9s %8s %9s %10s %10s  ", cells[0], cells[1], cells[2], cells[3],
                      cells[4], cells[5], cells[6]);
  return figures + Fitting(cells[7], WidthOf(figures), columns);
}

std::string LedgerHeading() {
  std::vector<std::string> headings = LedgerHeadings();
  for (std::string& heading : headings) heading.erase(0, heading[0] == '>' ? 1 : 0);
  return LedgerLine(headings, 0);
}

}  // namespace

std::string ProgressLine(const v1::Job& job, int columns) {
  const v1::Progress& progress = job.progress();
  if (progress.stage().empty()) return std::string(StateName(job.state()));
  const std::string head = StageAndEpoch(progress);
  const std::string tail =
      absl::StrCat(" ", FormatPercent(progress.fraction(), 0), Figures(progress));
  const int left = columns - static_cast<int>(head.size() + tail.size()) - 4;
  std::string line = head;
  if (left >= kNarrowestBar) {
    absl::StrAppend(&line, " [", FormatBar(progress.fraction(), std::min(left, kWidestBar)), "]");
  }
  absl::StrAppend(&line, tail);
  return line.substr(0, std::max(columns - 1, 0));
}

void PrintLedger(const google::protobuf::RepeatedPtrField<v1::LedgerEntry>& ledger,
                 std::ostream* out, int columns) {
  if (ledger.empty()) return;
  Table table(LedgerHeadings());
  for (const v1::LedgerEntry& entry : ledger) table.AddRow(LedgerCells(entry));
  const std::vector<std::string> lines = table.Lines(columns);
  *out << lines[0] << '\n';
  int attempt = 1;
  for (int i = 0; i < ledger.size(); ++i) {
    if (ledger[i].attempt() > attempt) *out << "attempt " << ledger[i].attempt() << ":\n";
    attempt = std::max(ledger[i].attempt(), 1);
    *out << lines[i + 1] << '\n';
    if (!ledger[i].guard().empty()) *out << GuardLine(ledger[i]) << '\n';
  }
}

void JobPrinter::Show(const v1::Job& job) {
  ShowAttempt(job);
  ShowWaiting(job);
  ShowLedger(job);
  if (IsTerminal(job.state())) {
    ClearLine();
  } else if (console_.terminal) {
    // Over the old line and then the rest of it: clearing first would flicker.
    *console_.out << '\r' << ProgressLine(job, console_.columns) << kClearToEnd << std::flush;
    line_drawn_ = true;
  } else {
    ShowPlainProgress(job);
  }
  state_ = job.state();
  progress_ = job.progress();
}

void JobPrinter::Note(absl::string_view text) {
  ClearLine();
  *console_.out << text << std::endl;
}

void JobPrinter::ShowAttempt(const v1::Job& job) {
  if (job.attempt() > std::max(attempt_, 1)) {
    Note(absl::StrCat("attempt ", job.attempt(), " of ", job.max_attempts(),
                      job.error().empty() ? "" : ": ", Printable(job.error())));
  }
  attempt_ = std::max(attempt_, job.attempt());
}

void JobPrinter::ShowWaiting(const v1::Job& job) {
  if (job.waiting_reason() == waiting_reason_) return;
  waiting_reason_ = job.waiting_reason();
  if (!waiting_reason_.empty()) Note(absl::StrCat("waiting: ", Printable(waiting_reason_)));
}

void JobPrinter::ShowLedger(const v1::Job& job) {
  for (; ledger_lines_ < job.ledger_size(); ++ledger_lines_) {
    if (ledger_lines_ == 0) Note(LedgerHeading());
    const v1::LedgerEntry& entry = job.ledger(ledger_lines_);
    Note(LedgerLine(LedgerCells(entry), console_.most_columns()));
    if (!entry.guard().empty()) Note(GuardLine(entry));
  }
}

// A line for each state, stage and epoch, so that a log stays short.
void JobPrinter::ShowPlainProgress(const v1::Job& job) {
  const v1::Progress& now = job.progress();
  if (now.stage().empty()) {
    if (job.state() != state_) Note(StateName(job.state()));
    return;
  }
  const bool new_epoch = now.epoch() > 0 && now.epoch() != progress_.epoch();
  if (now.stage() == progress_.stage() && !new_epoch && job.attempt() == attempt_shown_) return;
  attempt_shown_ = job.attempt();
  Note(absl::StrCat(StageAndEpoch(now), "  ", FormatPercent(now.fraction(), 0), Figures(now)));
}

void JobPrinter::ClearLine() {
  if (!line_drawn_) return;
  *console_.out << '\r' << kClearToEnd << std::flush;
  line_drawn_ = false;
}

}  // namespace cytopress
