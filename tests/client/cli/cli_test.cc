// Jobs on the command line, and what all commands share.
#include "client/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/client/cli/cli_fixture.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

v1::Job EndedJob(v1::JobState state) {
  v1::Job job;
  job.set_id("job-1");
  job.set_state(state);
  job.set_error(state == v1::JOB_STATE_FAILED ? "pruning left nothing" : "");
  job.set_model(state == v1::JOB_STATE_SUCCEEDED ? "blood@2" : "");
  job.add_ledger()->set_stage("train");
  return job;
}

// How often `part` is in `text`.
int Count(const std::string& part, const std::string& text) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_F(CliTest, HelpHasExamplesAndExitCodes) {
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("Exit codes:"));
  for (const char* command : {"compress", "jobs", "watch", "cancel", "models", "delete", "download",
                              "classify", "evaluate", "datasets", "completion"}) {
    EXPECT_EQ(Run({command, "--help"}), 0) << command;
    EXPECT_THAT(out(), HasSubstr("Examples:")) << command;
  }
}

TEST_F(CliTest, HelpFitsATerminal) {
  const std::string blanks(30, ' ');  // before a description
  for (const char* command : {"compress", "sweep", "report", "reproduce", "jobs", "models",
                              "download", "import", "classify", "evaluate", "completion"}) {
    EXPECT_EQ(Run({command, "--help"}), 0) << command;
    const std::vector<std::string> lines = absl::StrSplit(out(), '\n');
    for (const std::string& line : lines) {
      if (!absl::StartsWith(line, "  -") && !absl::StartsWith(line, blanks)) continue;
      EXPECT_LE(line.size(), 80u) << command << ": " << line;
    }
  }
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("types as one job,\n" + blanks + "and a report of it\n"));
  terminal_columns_ = 100;
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("types as one job, and a report of it\n"));
}

TEST_F(CliTest, HelpSaysFirstWhatIsAskedForMost) {
  EXPECT_EQ(Run({"compress", "--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("Pruning and fine-tuning:\n  --sparsity FLOAT:SHARE "));
  EXPECT_THAT(out(), HasSubstr("Quantization:\n  --weights TEXT:{fp16,fp32,int4,int8}\n"));
  EXPECT_THAT(out(), HasSubstr("how weights are stored; default: as the recipe\n"));
  EXPECT_EQ(Run({"sweep", "--help"}), 0);
  EXPECT_THAT(out(), Not(HasSubstr("--sparsity "))) << "it has --sparsities";
}

TEST_F(CliTest, HelpHasOneStyle) {
  EXPECT_EQ(Run({"compress", "--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("\n  --freeze-batch-norm,--no-freeze-batch-norm\n"));
  EXPECT_THAT(out(), Not(HasSubstr("{false}")));
  EXPECT_THAT(out(), HasSubstr("--learning-rate FLOAT:>0 "));
  for (const char* command : {"classify", "evaluate"}) {
    EXPECT_EQ(Run({command, "--help"}), 0);
    EXPECT_THAT(out(), HasSubstr("--in-flight INT:1 to 64=4")) << command;
  }
  EXPECT_EQ(Run({"classify", "--in-flight", "65", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("--in-flight: '65' is not a whole number from 1 to 64\n"));
}

TEST_F(CliTest, WrongFlagsAreUsageErrors) {
  EXPECT_EQ(Run({}), 2);
  EXPECT_THAT(err(), HasSubstr("cytopress COMMAND --help"));
  EXPECT_EQ(Run({"fly"}), 2);
  EXPECT_EQ(Run({"compress", "--name", "x", "--dataset", "synthetic", "--weights", "int3"}), 2);
  EXPECT_THAT(err(), HasSubstr("int3"));
  EXPECT_EQ(Run({"watch", "a", "--watch"}), 2);
  for (const char* timeout : {"0", "nan", "inf", "1e9"}) {
    EXPECT_EQ(Run({"jobs", "--timeout", timeout}), 2) << timeout;
    EXPECT_THAT(err(), HasSubstr("is not a number of seconds from 0.001 to 2592000"));
  }
}

TEST_F(CliTest, NamesTheWordThatIsNoCommand) {
  EXPECT_EQ(Run({"modles", "blood"}), 2);
  EXPECT_THAT(err(), HasSubstr("\"modles\" is not a command; did you mean models?"));
  EXPECT_THAT(err(), HasSubstr("--help"));
  EXPECT_EQ(Run({"datasets", "shwo"}), 2);
  EXPECT_THAT(err(), HasSubstr("\"shwo\" is not a command"));
  EXPECT_EQ(Run({"help"}), 2);
  EXPECT_THAT(err(), HasSubstr("\"help\" is not a command; did you mean --help?"));
}

TEST_F(CliTest, SaysWhatIsWrongWithTheFlags) {
  const auto said = [this](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"compress", "--name", "x", "--dataset", "synthetic"});
    EXPECT_EQ(Run(flags), 2);
    return err();
  };
  EXPECT_THAT(said({"--gradual", "abc"}), HasSubstr("--gradual: 'abc' is not a number\n"));
  EXPECT_THAT(said({"--sparsity", "abc"}), HasSubstr("'abc' is not a share of at least 0 and below "
                                                     "1, such as 0.8\n"));
  for (const char* percent : {"80", "80%"}) {
    EXPECT_THAT(said({"--sparsity", percent}), HasSubstr("; of 80 %, give 0.8\n")) << percent;
  }
  EXPECT_THAT(said({"--epochs", "99999"}),
              HasSubstr("'99999' is not a whole number from 1 to 1000\n"));
  EXPECT_THAT(said({"--max-bytes", "2 cells"}), HasSubstr("B, kB, MB, GB, KiB, MiB, GiB\n"));
  EXPECT_THAT(said({"--epochs", "99999999999"}), HasSubstr("'99999999999' is not a whole number"));
  EXPECT_THAT(said({"--epoch", "3"}),
              HasSubstr("not expected: --epoch 3; did you mean --epochs?\n"));
  EXPECT_THAT(said({"--unlike-any=3"}), HasSubstr("not expected: --unlike-any=3\n"));
  EXPECT_THAT(said({"--no-reduced-range=x"}), HasSubstr("takes no value"));
  EXPECT_THAT(said({"--no-reduced-range=99999999999999999999999"}), HasSubstr("takes no value"));
  EXPECT_THAT(said({"--activation-range", "asymmetric"}),
              HasSubstr("--activation-range: 'asymmetric' is unknown; use one of min-max, mse, "
                        "percentile\n"));
  EXPECT_THAT(said({"--recipe", "fast"}),
              HasSubstr("--recipe: 'fast' is unknown; use one of paper, lossless, quick, dense\n"));
  EXPECT_EQ(Run({"sweep", "--name", "x", "--dataset", "synthetic", "--weights", "int8,int5"}), 2);
  EXPECT_THAT(err(),
              HasSubstr("--weights: 'int5' is unknown; use one of fp16, fp32, int4, int8\n"));
  EXPECT_EQ(Run({"classify", "--hepl"}), 2);
  EXPECT_THAT(err(), HasSubstr("did you mean --help?"));
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  ASSERT_TRUE(WriteFileAtomically("-x.png", "").ok());
  EXPECT_EQ(Run({"classify", "-x.png"}), 2);
  EXPECT_THAT(err(), HasSubstr("-x.png is taken for a flag\n  Put -- before the files"));
  std::filesystem::current_path(before);
}

TEST_F(CliTest, TakesNamesInCapitals) {
  EXPECT_EQ(Run({"compress", "--name", "x", "--dataset", "synthetic", "--weights", "INT8",
                 "--rounding", "GPTQ", "--detach"}),
            0)
      << err();
  const v1::QuantizeOptions& quantize = service_.jobs.last_request.spec().recipe().quantize();
  EXPECT_EQ(quantize.weights(), v1::WEIGHT_TYPE_INT8);
  EXPECT_EQ(quantize.rounding(), v1::ROUNDING_GPTQ);
  EXPECT_EQ(
      Run({"sweep", "--name", "x", "--dataset", "synthetic", "--weights", "INT8,Int4", "--detach"}),
      0)
      << err();
  EXPECT_THAT(service_.jobs.last_request.spec().sweep().weights(),
              ElementsAre(v1::WEIGHT_TYPE_INT8, v1::WEIGHT_TYPE_INT4));
  EXPECT_EQ(Run({"jobs", "--state", "RUNNING"}), 0) << err();
  EXPECT_THAT(service_.jobs.last_list.states(), ElementsAre(v1::JOB_STATE_RUNNING));
}

TEST_F(CliTest, AnEmptyValueDoesNotTakeTheNextArgument) {
  EXPECT_EQ(Run({"compress", "--name", "x", "--dataset", "synthetic", "--base=", "--detach"}), 0);
  EXPECT_EQ(service_.jobs.last_request.spec().base_model(), "");
  EXPECT_EQ(service_.jobs.watches, 0);
  EXPECT_EQ(Run({"--server=", "jobs"}), 2);
  EXPECT_THAT(err(), HasSubstr("--server: no address is given"));
}

TEST_F(CliTest, RefusesValuesThatWouldMeanTheDefault) {
  const auto refused = [this](const std::string& command, const std::string& flag,
                              const std::string& value) {
    EXPECT_EQ(Run({command, "--name", "x", "--dataset", "synthetic", flag, value, "--detach"}), 2)
        << flag;
    EXPECT_THAT(err(), HasSubstr(absl::StrCat(flag, ": '", value, "' is not a ")));
    EXPECT_LT(err().size(), 200u);
  };
  for (const char* flag : {"--learning-rate", "--finetune-learning-rate", "--epochs",
                           "--batch-size", "--calibration-images", "--max-bytes",
                           "--max-latency-ms", "--time-budget", "--max-tries"}) {
    refused("compress", flag, "0");
  }
  refused("compress", "--seed", "-1");
  refused("sweep", "--sparsities", "");
  refused("sweep", "--sparsities", "1");
  EXPECT_EQ(Run({"classify", "--top", "0", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("--top: '0' is neither"));
  EXPECT_EQ(Run({"jobs", "--limit", "0"}), 2);
  EXPECT_THAT(err(), HasSubstr("--limit: '0' is not a whole number of at least 1"));
}

TEST_F(CliTest, AToleranceIsANumberOfAtLeastZero) {
  for (const char* value : {"-1", "nan", "inf", "x"}) {
    const std::string complaint =
        absl::StrCat("--tolerance: '", value, "' is not a number of at least 0");
    EXPECT_EQ(Run({"reproduce", "blood", "--tolerance", value}), 2);
    EXPECT_THAT(err(), HasSubstr(complaint)) << "before hours of training";
    EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", "synthetic", "--tolerance", value}),
              2);
    EXPECT_THAT(err(), HasSubstr(complaint));
  }
}

TEST_F(CliTest, OutputThatCannotBeWrittenIsAnError) {
  struct FullDisk : std::streambuf {
  } full;
  std::ostream out(&full);
  std::ostringstream err;
  Console console;
  console.out = &out;
  console.err = &err;
  const char* const arguments[] = {"cytopress", "datasets", "show", "synthetic:200"};
  EXPECT_EQ(RunCli(4, arguments, console), 1);
  EXPECT_THAT(err.str(), HasSubstr("cannot write the output"));
}

TEST_F(CliTest, AnExceptionIsAnErrorLikeOthers) {
  const std::vector<const char*> argv = {"cytopress", "models"};
  const auto run = [&argv](const auto& exception) {
    std::ostringstream out, err;
    Console console;
    console.out = &out;
    console.err = &err;
    EXPECT_EQ(RunCli(2, argv.data(), console,
                     [&](const ClientOptions&) -> absl::StatusOr<std::unique_ptr<Client>> {
                       throw exception;
                     }),
              1);
    return err.str();
  };
  EXPECT_EQ(run(std::runtime_error("a library's own")), "cytopress: a library's own\n");
  EXPECT_THAT(run(std::bad_alloc()), HasSubstr("no memory"));
}

TEST_F(CliTest, SharedFlagsMayFollowTheCommand) {
  EXPECT_EQ(Run({"jobs", "--server", "cells:1", "--timeout", "2.5", "--tls-ca", "ca.pem"}), 0);
  EXPECT_EQ(client_options_.target, "cells:1");
  EXPECT_EQ(client_options_.deadline, absl::Milliseconds(2500));
  ASSERT_TRUE(client_options_.tls.has_value());
  EXPECT_EQ(client_options_.tls->ca, "ca.pem");
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_FALSE(client_options_.tls.has_value());
}

TEST_F(CliTest, FilesOfTlsMayBeInTheEnvironment) {
  const ScopedEnvironment ca("CYTOPRESS_TLS_CA", "ca.pem");
  const ScopedEnvironment certificate("CYTOPRESS_TLS_CERT", "client.pem");
  const ScopedEnvironment key("CYTOPRESS_TLS_KEY", "client.key");
  EXPECT_EQ(Run({"jobs"}), 0);
  ASSERT_TRUE(client_options_.tls.has_value());
  EXPECT_EQ(client_options_.tls->ca, "ca.pem");
  EXPECT_EQ(client_options_.tls->certificate, "client.pem");
  EXPECT_EQ(client_options_.tls->key, "client.key");
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("CYTOPRESS_TLS_CERT"));
}

TEST_F(CliTest, CompressDetachedOnlyQueues) {
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic", "--recipe", "quick",
                 "--request-id", "r", "--detach", "--json"}),
            0);
  EXPECT_EQ(OutJson()["id"], "job-1");
  EXPECT_EQ(service_.jobs.last_request.request_id(), "r");
  EXPECT_EQ(service_.jobs.last_request.spec().recipe().name(), "quick");
  EXPECT_EQ(service_.jobs.watches, 0);
}

TEST_F(CliTest, CompressFollowsTheJobAndShowsTheModel) {
  service_.models.model = BloodModel();
  service_.jobs.scripts = {{{EndedJob(v1::JOB_STATE_SUCCEEDED)}, grpc::Status::OK}};
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 0);
  EXPECT_THAT(out(), HasSubstr("job job-1 has made blood@2"));
  EXPECT_EQ(service_.jobs.last_request.spec().recipe().name(), "lossless");
  EXPECT_THAT(out(), HasSubstr("(10.0x smaller)"));
  EXPECT_THAT(out(), Not(HasSubstr("dense model's")));
  EXPECT_THAT(out(), Not(HasSubstr("the guard found")));
}

TEST_F(CliTest, CompressSaysWhatWasLost) {
  v1::Model model = BloodModel();
  model.mutable_certificate()->mutable_parent_test()->set_accuracy(0.9641);
  const std::pair<v1::GuardVerdict, const char*> findings[] = {
      {v1::GUARD_VERDICT_TRAINING_FOLLOWS, "one answer for all"},
      {v1::GUARD_VERDICT_FINE, ""},
      {v1::GUARD_VERDICT_LOST_TOO_MUCH, "lost 2 points"}};
  for (const auto& [verdict, guard] : findings) {
    v1::LedgerEntry* const line = model.add_ledger();
    line->set_stage("evaluate");
    line->set_verdict(verdict);
    line->set_guard(guard);
  }
  service_.models.model = model;
  service_.jobs.scripts = {{{EndedJob(v1::JOB_STATE_SUCCEEDED)}, grpc::Status::OK}};
  EXPECT_EQ(Run({"watch", "job-1"}), 0);
  EXPECT_THAT(out(), HasSubstr("0.29 points below the dense model's 96.41 %\n"));
  EXPECT_THAT(out(), HasSubstr("the guard found something: evaluate: lost 2 points\n"));
  EXPECT_EQ(Count("the guard found", out()), 1) << out();
}

TEST_F(CliTest, WhyAJobFailedIsSaidInFlags) {
  v1::Job job = EndedJob(v1::JOB_STATE_FAILED);
  job.set_error("goal.max_bytes: 1000 is out of reach with WEIGHT_TYPE_INT4");
  service_.jobs.scripts = {{{job}, grpc::Status::OK}};
  EXPECT_EQ(Run({"watch", "job-1"}), 5);
  EXPECT_THAT(err(), HasSubstr("failed: --max-bytes: 1000 is out of reach with int4\n"));
}

TEST_F(CliTest, ExitCodeSaysHowTheJobEnded) {
  service_.jobs.scripts = {{{EndedJob(v1::JOB_STATE_FAILED)}, grpc::Status::OK},
                           {{EndedJob(v1::JOB_STATE_CANCELLED)}, grpc::Status::OK}};
  EXPECT_EQ(Run({"watch", "job-1"}), 5);
  EXPECT_THAT(err(), HasSubstr("pruning left nothing"));
  EXPECT_EQ(Run({"watch", "job-1", "--json"}), 6);
  EXPECT_EQ(OutJson()["state"], "JOB_STATE_CANCELLED");
}

TEST_F(CliTest, WatchGoesOnAfterALostConnection) {
  v1::Job running = EndedJob(v1::JOB_STATE_RUNNING);
  const grpc::Status lost(grpc::StatusCode::UNAVAILABLE, "gone");
  service_.models.model = BloodModel();
  service_.jobs.scripts = {
      {{running}, lost}, {{}, lost}, {{EndedJob(v1::JOB_STATE_SUCCEEDED)}, grpc::Status::OK}};
  EXPECT_EQ(Run({"watch", "job-1"}), 0);
  EXPECT_EQ(service_.jobs.watches, 3);
  const std::string all = out() + err();
  EXPECT_EQ(Count("connection lost; the job goes on", all), 1) << all;
  EXPECT_EQ(Count("connected again", all), 1) << all;
}

TEST_F(CliTest, RefusesFlagsThatWouldBeIgnored) {
  for (const char* flag : {"--state", "--model", "--limit"}) {
    EXPECT_EQ(Run({"jobs", "job-1", flag, flag[2] == 'l' ? "3" : "running"}), 2) << flag;
    EXPECT_THAT(err(), HasSubstr("excludes"));
  }
  EXPECT_EQ(Run({"models", "blood", "--name", "x"}), 2);
  EXPECT_EQ(Run({"compress", "--name", "x", "--dataset", "synthetic", "--max-bytes", "1e30"}), 2);
  EXPECT_THAT(err(), HasSubstr("bytes are more than a file can have"));
}

TEST_F(CliTest, JobsTurnsPagesUpToTheLimit) {
  for (const char* id : {"a", "b", "c"}) service_.jobs.jobs[id].set_id(id);
  EXPECT_EQ(Run({"--json", "jobs"}), 0);
  EXPECT_EQ(OutJson()["jobs"].size(), 3u);
  EXPECT_EQ(Run({"jobs", "--limit", "2"}), 0);
  EXPECT_THAT(out(), HasSubstr("older jobs are left out"));
  EXPECT_EQ(Run({"jobs", "--state", "asleep"}), 2);
  EXPECT_THAT(err(), HasSubstr("--state: 'asleep' is unknown; use one of cancelled, "));
}

TEST_F(CliTest, JobsAsksForStateAndModel) {
  EXPECT_EQ(Run({"jobs", "--state", "running", "--model", "blood", "--limit", "7"}), 0);
  EXPECT_THAT(service_.jobs.last_list.states(), ElementsAre(v1::JOB_STATE_RUNNING));
  EXPECT_EQ(service_.jobs.last_list.model_name(), "blood");
  EXPECT_EQ(service_.jobs.last_list.page_size(), 7);
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(service_.jobs.last_list.states(), IsEmpty());
  EXPECT_EQ(service_.jobs.last_list.model_name(), "");
}

TEST_F(CliTest, AnEmptyListSaysWhatToDo) {
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(out(), HasSubstr("no job yet; `cytopress compress --help`"));
  EXPECT_EQ(Run({"jobs", "--state", "running"}), 0);
  EXPECT_EQ(out(), "no such job; `cytopress jobs` lists all\n");
  service_.models.lists_none = true;
  EXPECT_EQ(Run({"models"}), 0);
  EXPECT_THAT(out(), HasSubstr("no model yet; make one with `cytopress compress`"));
  EXPECT_EQ(Run({"models", "--name", "bone"}), 0);
  EXPECT_EQ(out(), "no model is called bone; `cytopress models` lists all\n");
  EXPECT_EQ(Run({"models", "--json"}), 0);
  EXPECT_EQ(OutJson()["models"], Json::array());
  EXPECT_EQ(Run({"jobs", "--json"}), 0);
  EXPECT_EQ(OutJson()["jobs"], Json::array());
}

TEST_F(CliTest, JobsKeepToTheWidthOfATerminal) {
  v1::Job job = EndedJob(v1::JOB_STATE_FAILED);
  const std::string error(300, 'x');
  job.set_error(error);
  job.mutable_ledger(0)->set_note(error);
  service_.jobs.jobs["job-1"] = job;
  terminal_columns_ = 100;
  EXPECT_EQ(Run({"jobs"}), 0);
  const std::string list = out();
  EXPECT_THAT(list, HasSubstr("xxx...\n"));
  EXPECT_EQ(list.find('\n', list.find('\n') + 1) - list.find('\n'), 101u);
  EXPECT_EQ(Run({"jobs", "job-1"}), 0);
  EXPECT_THAT(out(), HasSubstr("(" + error + ")"));
  EXPECT_THAT(out(), HasSubstr("xxx...\n"));
  terminal_columns_ = 0;
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(out(), HasSubstr(error + "\n"));
  EXPECT_EQ(Run({"jobs", "job-1"}), 0);
  EXPECT_THAT(out(), HasSubstr(error + "\n"));
}

TEST_F(CliTest, JobsHaveFewerColumnsOnANarrowTerminal) {
  v1::Job job = EndedJob(v1::JOB_STATE_SUCCEEDED);
  job.set_id(std::string(36, 'a'));
  job.mutable_spec()->set_model_name("blood-cells");
  job.mutable_spec()->mutable_recipe()->set_name("lossless");
  job.mutable_created()->set_seconds(1700000000);
  service_.jobs.jobs[job.id()] = job;
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(out(), HasSubstr("recipe    state      attempt  created")) << "no terminal";
  terminal_columns_ = 89;
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(out(), HasSubstr("recipe    state      attempt  progress\n"));
  terminal_columns_ = 80;
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(out(), HasSubstr("recipe    state      progress\n"));
  EXPECT_THAT(out(), HasSubstr("lossless  succeeded  blood@2\n"));
}

TEST_F(CliTest, ShowsOneJobWithItsLedger) {
  service_.jobs.jobs["job-1"] = EndedJob(v1::JOB_STATE_FAILED);
  EXPECT_EQ(Run({"jobs", "job-1"}), 0);
  EXPECT_THAT(out(), HasSubstr("failed (pruning left nothing)"));
  EXPECT_THAT(out(), HasSubstr("\ntrain "));
}

TEST_F(CliTest, CancelSaysWhatBecameOfTheJob) {
  EXPECT_EQ(Run({"cancel", "job-1"}), 0);
  EXPECT_THAT(out(), HasSubstr("job job-1 is cancelled"));
}

TEST_F(CliTest, CancelTakesSeveralJobs) {
  service_.jobs.uncancellable = "job-1";
  EXPECT_EQ(Run({"cancel", "job-1", "job-2"}), 1);
  EXPECT_EQ(out(), "job job-2 is cancelled\n");
  EXPECT_EQ(Count("it has ended", err()), 1) << err();
  EXPECT_EQ(Run({"cancel"}), 2);
}

}  // namespace
}  // namespace cytopress
