#include "client/cli/job_printer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

v1::Job Training(int epoch, double loss) {
  v1::Job job;
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_attempt(1);
  job.set_max_attempts(3);
  v1::Progress* progress = job.mutable_progress();
  progress->set_stage("train");
  progress->set_epoch(epoch);
  progress->set_epochs(12);
  progress->set_loss(loss);
  progress->set_validation_accuracy(0.913);
  progress->set_images_per_second(212);
  progress->set_fraction(0.42);
  progress->set_eta_seconds(192);
  return job;
}

v1::Job OfASweep() {
  v1::Job job = Training(1, 0.5124);
  job.mutable_progress()->set_stage("grid-s80-int4: quantization-aware training");
  job.mutable_progress()->set_epochs(2);
  job.mutable_progress()->set_eta_seconds(751);
  return job;
}

TEST(ProgressLine, ShowsWhereTheJobIs) {
  EXPECT_EQ(ProgressLine(Training(3, 0.5124), 100),
            "train 3/12 [##########..............] 42 %  ETA 3:12 min  loss 0.512  val 91.30 %  "
            "212 img/s");
  EXPECT_EQ(ProgressLine(v1::Job(), 100), "unknown");
}

TEST(ProgressLine, FitsNarrowTerminals) {
  for (int columns = 1; columns < 120; ++columns) {
    EXPECT_LT(ProgressLine(Training(3, 0.5), columns).size(), static_cast<size_t>(columns));
    EXPECT_LT(ProgressLine(OfASweep(), columns).size(), static_cast<size_t>(columns));
  }
}

TEST(ProgressLine, LeavesWholeFiguresOutButNotTheTimeThatIsLeft) {
  EXPECT_EQ(ProgressLine(Training(3, 0.5124), 80),
            "train 3/12 [#####......] 42 %  ETA 3:12 min  loss 0.512  val 91.30 %  212 img/s");
  EXPECT_EQ(ProgressLine(Training(3, 0.5124), 60),
            "train 3/12 42 %  ETA 3:12 min  loss 0.512  val 91.30 %");
  EXPECT_EQ(ProgressLine(OfASweep(), 80),
            "grid-s80-int4: quantization-aware training 1/2 42 %  ETA 12:31 min  loss 0.512");
  EXPECT_EQ(ProgressLine(OfASweep(), 60),
            "grid-s80-int4: quantization-awar... 1/2 42 %  ETA 12:31 min");
  EXPECT_EQ(ProgressLine(OfASweep(), 40), "grid-s80-int4: quantization... 1/2 42 %");
  EXPECT_EQ(ProgressLine(OfASweep(), 20), "42 %");
  v1::Job without_eta = OfASweep();
  without_eta.mutable_progress()->clear_eta_seconds();
  EXPECT_EQ(ProgressLine(without_eta, 60), "grid-s80-int4: quantization-aware training 1/2 42 %");
}

class JobPrinterTest : public ::testing::Test {
 protected:
  Console MakeConsole(bool terminal) {
    Console console;
    console.out = console.err = &out_;
    console.terminal = terminal;
    return console;
  }
  std::ostringstream out_;
};

TEST_F(JobPrinterTest, RedrawsOneLineOnATerminal) {
  {
    JobPrinter printer(MakeConsole(true));
    printer.Show(Training(1, 2.0));
    printer.Show(Training(1, 1.5));
  }
  EXPECT_THAT(out_.str(), HasSubstr("loss 2.000"));
  EXPECT_THAT(out_.str(), HasSubstr("\x1b[K\rtrain 1/12"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\n")));
  EXPECT_EQ(out_.str().substr(out_.str().size() - 4), "\r\x1b[K");
}

TEST_F(JobPrinterTest, SaysOnceWhatAQueuedJobWaitsFor) {
  for (const bool terminal : {true, false}) {
    out_.str("");
    JobPrinter printer(MakeConsole(terminal));
    v1::Job job;
    job.set_state(v1::JOB_STATE_QUEUED);
    job.set_waiting_reason("no worker is up");
    printer.Show(job);
    printer.Show(job);
    const std::vector<std::string> said = absl::StrSplit(out_.str(), "waiting: no worker is up\n");
    EXPECT_THAT(said, SizeIs(2));
    job.set_waiting_reason("");
    printer.Show(job);
    const std::vector<std::string> said_in_all = absl::StrSplit(out_.str(), "waiting: ");
    EXPECT_THAT(said_in_all, SizeIs(2));
  }
}

TEST_F(JobPrinterTest, PrintsALineAnEpochElsewhere) {
  JobPrinter printer(MakeConsole(false));
  printer.Show(Training(1, 2.0));
  printer.Show(Training(1, 1.5));
  printer.Show(Training(2, 1.2));
  EXPECT_THAT(out_.str(), HasSubstr("train 1/12  42 %  ETA 3:12 min  loss 2.000  val 91.30 %"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("1.500")));
  EXPECT_THAT(out_.str(), HasSubstr("train 2/12"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
}

TEST_F(JobPrinterTest, ShowsWhatTheGuardFoundBelowItsLine) {
  v1::Job job = Training(1, 2.0);
  v1::LedgerEntry* entry = job.add_ledger();
  entry->set_stage("quantize");
  entry->set_guard("collapsed: 88 % of the answers are 'eosinophil'");
  job.add_ledger()->set_stage("package");
  JobPrinter printer(MakeConsole(false));
  printer.Show(job);
  const std::string shown = out_.str();
  EXPECT_THAT(shown, HasSubstr("\n  ! guard: collapsed: 88 % of the answers are 'eosinophil'\n"));
  EXPECT_EQ(shown.find("guard:"), shown.rfind("guard:"));
  out_.str("");
  PrintLedger(job.ledger(), &out_);
  EXPECT_THAT(out_.str(), HasSubstr("\n  ! guard: collapsed"));
}

TEST_F(JobPrinterTest, AlignsALedgerWithLongStages) {
  v1::Job job;
  job.add_ledger()->set_stage("load");
  job.add_ledger()->set_stage("a-model-of-a-sweep-with-a-name-s80-int4");
  job.mutable_ledger(0)->set_note("first");
  job.mutable_ledger(1)->set_note("second");
  PrintLedger(job.ledger(), &out_);
  const std::vector<std::string> lines = absl::StrSplit(out_.str(), '\n');
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[0].find("note"), lines[1].find("first"));
  EXPECT_EQ(lines[0].find("note"), lines[2].find("second"));
}

TEST_F(JobPrinterTest, MarksWhereAnotherAttemptBegins) {
  v1::Job job;
  for (const int attempt : {1, 1, 2, 2, 3}) {
    v1::LedgerEntry* const entry = job.add_ledger();
    entry->set_stage(absl::StrCat("stage-of-", attempt));
    entry->set_attempt(attempt);
  }
  PrintLedger(job.ledger(), &out_);
  EXPECT_THAT(out_.str(), Not(HasSubstr("attempt 1")));
  for (const int attempt : {2, 3}) {
    const std::vector<std::string> parts =
        absl::StrSplit(out_.str(), absl::StrCat("\nattempt ", attempt, ":\n"));
    ASSERT_THAT(parts, SizeIs(2));
    EXPECT_THAT(parts[1], StartsWith(absl::StrCat("stage-of-", attempt)));
  }
}

TEST_F(JobPrinterTest, CutsNotesOnATerminalOnly) {
  v1::Job job = Training(1, 2.0);
  const std::string note(200, 'x');
  job.add_ledger()->set_stage("load");
  job.mutable_ledger(0)->set_note(note);
  Console console = MakeConsole(true);
  console.columns = 140;
  JobPrinter(console).Show(job);
  EXPECT_THAT(out_.str(), HasSubstr("xxx...\n"));
  EXPECT_THAT(out_.str(), Not(HasSubstr(note)));
  out_.str("");
  JobPrinter(MakeConsole(false)).Show(job);
  EXPECT_THAT(out_.str(), HasSubstr(note));
  out_.str("");
  PrintLedger(job.ledger(), &out_, 140);
  EXPECT_THAT(out_.str(), HasSubstr("xxx...\n"));
}

TEST_F(JobPrinterTest, PrintsEachLineOfTheLedgerOnce) {
  JobPrinter printer(MakeConsole(false));
  v1::Job job = Training(1, 2.0);
  job.add_ledger()->set_stage("load");
  printer.Show(job);
  v1::LedgerEntry* entry = job.add_ledger();
  entry->set_stage("prune");
  entry->set_sparsity(0.5);
  entry->set_validation_accuracy(0.9);
  printer.Show(job);
  printer.Show(job);
  const std::string text = out_.str();
  EXPECT_EQ(text.find("prune "), text.rfind("prune "));
  EXPECT_THAT(text, HasSubstr("50.0 %"));
  EXPECT_THAT(text, StartsWith("stage"));
}

TEST_F(JobPrinterTest, SaysThatAnotherAttemptBegins) {
  JobPrinter printer(MakeConsole(false));
  printer.Show(Training(1, 2.0));
  v1::Job job = Training(1, 2.0);
  job.set_attempt(2);
  job.set_error("the worker was lost");
  printer.Show(job);
  EXPECT_THAT(out_.str(), HasSubstr("attempt 2 of 3: the worker was lost"));
}

}  // namespace
}  // namespace cytopress
