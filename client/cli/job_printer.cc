#include "client/cli/job_printer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/jobs/job_state.h"

namespace cytopress {
namespace {

constexpr int kWidestBar = 24;
constexpr int kNarrowestBar = 8;
constexpr char kBetweenFigures[] = "  ";

// Behind the stage.
std::string EpochOf(const v1::Progress& progress) {
  return progress.epoch() > 0 ? absl::StrCat(" ", progress.epoch(), "/", progress.epochs()) : "";
}

// The more important ones first.
std::vector<std::string> Figures(const v1::Progress& progress) {
  std::vector<std::string> figures = {FormatPercent(progress.fraction(), 0)};
  if (progress.eta_seconds() > 0) {
    figures.push_back(absl::StrCat("ETA ", FormatSeconds(progress.eta_seconds())));
  }
  if (progress.loss() > 0) figures.push_back(absl::StrFormat("loss %.3f", progress.loss()));
  if (progress.validation_accuracy() > 0) {
    figures.push_back(absl::StrCat("val ", FormatPercent(progress.validation_accuracy())));
  }
  if (progress.images_per_second() > 0) {
    figures.push_back(absl::StrFormat("%.0f img/s", progress.images_per_second()));
  }
  return figures;
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
  const std::string stage = Printable(progress.stage());
  const std::string epoch = EpochOf(progress);
  std::vector<std::string> figures = Figures(progress);
  const auto whole = static_cast<int>(WidthOf(stage));
  const int cut = std::min(whole, static_cast<int>(kNarrowestText));
  const auto left_for_stage = [&] {
    const std::string tail = absl::StrCat(epoch, " ", absl::StrJoin(figures, kBetweenFigures));
    return columns - 1 - static_cast<int>(WidthOf(tail));
  };
  // For the time that is left the stage's name is cut, for other figures it is not.
  const size_t worth_a_cut = progress.eta_seconds() > 0 ? 2 : 1;
  while (figures.size() > 1 && left_for_stage() < (figures.size() > worth_a_cut ? whole : cut)) {
    figures.pop_back();
  }
  const int left = left_for_stage();
  if (left < cut) return static_cast<int>(figures[0].size()) < columns ? figures[0] : "";
  std::string line = absl::StrCat(Fitting(stage, 0, left), epoch);
  const int bar = std::min(left - whole - 3, kWidestBar);  // " []"
  if (bar >= kNarrowestBar) {
    absl::StrAppend(&line, " [", FormatBar(progress.fraction(), bar), "]");
  }
  return absl::StrCat(line, " ", absl::StrJoin(figures, kBetweenFigures));
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
  Note(absl::StrCat(Printable(now.stage()), EpochOf(now), kBetweenFigures,
                    absl::StrJoin(Figures(now), kBetweenFigures)));
}

void JobPrinter::ClearLine() {
  if (!line_drawn_) return;
  *console_.out << '\r' << kClearToEnd << std::flush;
  line_drawn_ = false;
}

}  // namespace cytopress
