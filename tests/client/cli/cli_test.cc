// Jobs and models on the command line.
#include "client/cli/cli.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/base/sha256.h"
#include "core/image/image.h"
#include "tests/client/cli/cli_fixture.h"
#include "tests/core/dataset/npz_builder.h"

namespace cytopress {
namespace {

using ::testing::Contains;
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

v1::Model BloodModel() {
  v1::Model model;
  model.set_name("blood");
  model.set_version(2);
  model.set_sha256(Sha256Hex("bytes"));
  model.set_weights(v1::WEIGHT_TYPE_INT8);
  model.add_class_names("basophil");
  model.add_class_names("monocyte");
  model.mutable_network()->set_architecture("resnet50");
  model.mutable_size()->set_dense_bytes(94000000);
  model.mutable_size()->set_disk_bytes(9400000);
  v1::Evaluation* evaluation = model.add_evaluations();
  evaluation->set_split("test");
  evaluation->set_accuracy(0.9612);
  for (const int count : {40, 2, 3, 55}) evaluation->add_confusion(count);
  evaluation->add_class_recall(40.0 / 42);
  evaluation->add_class_recall(55.0 / 58);
  return model;
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
                              "classify", "evaluate", "datasets"}) {
    EXPECT_EQ(Run({command, "--help"}), 0) << command;
    EXPECT_THAT(out(), HasSubstr("Examples:")) << command;
  }
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
  EXPECT_THAT(said({"--activation-range", "asymmetric"}), HasSubstr("{min-max,mse,percentile}"));
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
  const auto on_terminal = [this](std::vector<const char*> arguments) {
    std::ostringstream out, err;
    Console console;
    console.out = &out;
    console.err = &err;
    console.terminal = true;
    console.columns = 100;
    arguments.insert(arguments.begin(), "cytopress");
    const int count = static_cast<int>(arguments.size());
    EXPECT_EQ(RunCli(count, arguments.data(), console,
                     [this](const ClientOptions&) -> absl::StatusOr<std::unique_ptr<Client>> {
                       return std::make_unique<Client>(service_.channel());
                     }),
              0);
    return out.str();
  };
  const std::string list = on_terminal({"jobs"});
  EXPECT_THAT(list, HasSubstr("xxx...\n"));
  EXPECT_EQ(list.find('\n', list.find('\n') + 1) - list.find('\n'), 101u);
  const std::string ledger = on_terminal({"jobs", "job-1"});
  EXPECT_THAT(ledger, HasSubstr("(" + error + ")"));
  EXPECT_THAT(ledger, HasSubstr("xxx...\n"));
  EXPECT_EQ(Run({"jobs"}), 0);
  EXPECT_THAT(out(), HasSubstr(error + "\n"));
  EXPECT_EQ(Run({"jobs", "job-1"}), 0);
  EXPECT_THAT(out(), HasSubstr(error + "\n"));
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

TEST_F(CliTest, ModelsListsAllPagesAndShowsOne) {
  service_.models.model = BloodModel();
  EXPECT_EQ(Run({"--json", "models"}), 0);
  EXPECT_EQ(OutJson()["models"].size(), 2u);
  EXPECT_EQ(Run({"models"}), 0);
  EXPECT_THAT(out(), HasSubstr("blood@2  resnet50  int8"));
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("ACC 96.12 %"));
  EXPECT_THAT(out(), HasSubstr("1 monocyte  94.8 %   3  55"));
  EXPECT_THAT(out(), Not(HasSubstr("images:")));
  v1::Preprocessing* const preprocessing = service_.models.model.mutable_preprocessing();
  preprocessing->set_width(28);
  preprocessing->set_height(28);
  preprocessing->set_center_crop(200);
  preprocessing->set_jpeg_quality(75);
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(),
              HasSubstr("images:     RGB, 28x28 pixels as they are; of others 200x200 pixels "
                        "from the centre, scaled to 28x28 and saved once as JPEG of quality "
                        "75\n"));
  preprocessing->set_height(20);
  preprocessing->clear_center_crop();
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("the largest part of that shape from the centre, scaled to 28x20"));
  EXPECT_EQ(Run({"models", "blood@2"}), 0);
  EXPECT_EQ(Run({"models", "blood@1"}), 3);
  EXPECT_EQ(Run({"models", "bone"}), 3);
  EXPECT_EQ(Run({"models", "blood@first"}), 2);
}

TEST_F(CliTest, SaysWhereWeightsAreOfTwoTypes) {
  v1::Model model = BloodModel();
  model.set_weights(v1::WEIGHT_TYPE_INT4);
  auto& layers = *model.mutable_provenance()
                      ->mutable_spec()
                      ->mutable_recipe()
                      ->mutable_quantize()
                      ->mutable_layer_weights();
  layers["layer1.0.conv1"] = v1::WEIGHT_TYPE_INT8;
  layers["layer1.0.conv2"] = v1::WEIGHT_TYPE_INT4;
  service_.models.model = model;
  EXPECT_EQ(Run({"models"}), 0);
  EXPECT_THAT(out(), HasSubstr("blood@2  resnet50  int4/int8"));
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("int4/int8 by layer, 1 layer INT8 by the recipe, "));
  layers.clear();
  model.mutable_provenance()->mutable_spec()->mutable_goal();
  service_.models.model = model;
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("int4/int8 by layer, as the search chose, "));
}

TEST_F(CliTest, ShowsTheCertificate) {
  v1::Model model = BloodModel();
  model.mutable_evaluations(0)->set_accuracy_low(0.9542);
  model.mutable_evaluations(0)->set_accuracy_high(0.9672);
  model.mutable_evaluations(0)->set_auc(0.9981);
  model.mutable_evaluations(0)->set_auc_low(0.9975);
  model.mutable_evaluations(0)->set_auc_high(0.9987);
  EXPECT_EQ((service_.models.model = model, Run({"models", "blood"})), 0);
  EXPECT_THAT(out(), Not(HasSubstr("certificate")));
  v1::Certificate* certificate = model.mutable_certificate();
  certificate->set_parent("blood-dense@1");
  certificate->mutable_parent_test()->set_images(3421);
  certificate->mutable_parent_test()->set_accuracy(0.9632);
  certificate->mutable_parent_test()->set_auc(0.9984);
  certificate->mutable_parent_test()->add_class_recall(0.9762);
  certificate->mutable_parent_test()->add_class_recall(0.9655);
  certificate->set_only_parent_right(12);
  certificate->set_only_model_right(9);
  certificate->set_mcnemar_p_value(0.6636);
  certificate->set_lowest_recall_class(1);
  certificate->set_lowest_recall(0.9483);
  certificate->mutable_weights_only_test()->set_accuracy(0.9622);
  certificate->set_latency_seconds(0.00325);
  certificate->set_engine("onednn-int8");
  certificate->set_processor("a processor");
  service_.models.model = model;
  EXPECT_EQ(Run({"models", "blood"}), 0);
  for (const char* text :
       {"against blood-dense@1", "96.12 % (95 % interval 95.42 % to 96.72 %)",
        "0.20 points below the dense model's 96.32 %", "0.9981 (95 % interval 0.9975 to 0.9987)",
        "no significant difference", "12 images only that one gets right, 9 only this one",
        "difference       0.09 points lost (95 % interval -0.20 to 0.38)",
        "94.83 %, monocyte, dense 96.55 %", "ACC 96.22 %", "3.25 ms for one image",
        "onednn-int8, a processor"}) {
    EXPECT_THAT(out(), HasSubstr(text));
  }
}

TEST_F(CliTest, ACertificateWithoutAParentComparesNothing) {
  v1::Model model = BloodModel();
  model.mutable_certificate()->set_latency_seconds(0.00325);
  service_.models.model = model;
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("certificate: blood@2, "));
  EXPECT_THAT(out(), HasSubstr("3.25 ms for one image"));
  for (const char* text : {"against", "dense model", ", dense", "McNemar"}) {
    EXPECT_THAT(out(), Not(HasSubstr(text)));
  }
}

TEST_F(CliTest, DeleteWantsAVersion) {
  EXPECT_EQ(Run({"delete", "blood"}), 2);
  EXPECT_EQ(service_.models.deleted, "");
  EXPECT_EQ(Run({"delete", "blood@2"}), 0);
  EXPECT_EQ(service_.models.deleted, "blood@2");
}

TEST_F(CliTest, DeleteTakesSeveralVersions) {
  EXPECT_EQ(Run({"delete", "blood@1", "blood"}), 2);
  EXPECT_THAT(service_.models.all_deleted, IsEmpty());
  EXPECT_EQ(Run({"delete", "blood@1", "bone@3"}), 0);
  EXPECT_THAT(service_.models.all_deleted, ElementsAre("blood@1", "bone@3"));
  EXPECT_EQ(out(), "deleted blood@1\ndeleted bone@3\n");
}

TEST_F(CliTest, DownloadsTheFormatOfTheFilesEnding) {
  service_.models.model = BloodModel();
  service_.models.chunks = {"bytes"};
  service_.models.sha256 = Sha256Hex("bytes");
  const auto format = [this](const std::string& name, const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"download", "blood", "-o", folder_ + "/" + name};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(Run(arguments), 0) << err();
    return service_.models.format;
  };
  EXPECT_EQ(format("blood.onnx", {}), v1::MODEL_FORMAT_ONNX);
  EXPECT_EQ(format("blood.cyp", {}), v1::MODEL_FORMAT_CYTOPRESS);
  EXPECT_EQ(format("blood.onnx", {"--format", "cyp"}), v1::MODEL_FORMAT_CYTOPRESS);
  EXPECT_EQ(format("blood", {"--format", "onnx"}), v1::MODEL_FORMAT_ONNX);
}

TEST_F(CliTest, DownloadVerifies) {
  service_.models.model = BloodModel();
  service_.models.chunks = {"bytes"};
  const std::string path = folder_ + "/blood.cyp";
  EXPECT_EQ(Run({"download", "blood", "-o", path}), 0);
  EXPECT_EQ(*ReadFile(path, 100), "bytes");
  const std::string nowhere = folder_ + "/no/blood.cyp";
  EXPECT_EQ(Run({"download", "blood", "-o", nowhere}), 2) << "as evaluate --csv";
  EXPECT_THAT(err(), HasSubstr("cannot write " + nowhere + ": "));
  EXPECT_EQ(Run({"download", "blood", "-o", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("it is a folder"));
  service_.models.chunks = {"other"};
  EXPECT_EQ(Run({"download", "blood", "-o", path}), 1);
  EXPECT_EQ(*ReadFile(path, 100), "bytes");
}

TEST_F(CliTest, DownloadIntoAPipeWritesTheModelAlone) {
  service_.models.model = BloodModel();
  service_.models.chunks = {"bytes"};
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  EXPECT_EQ(Run({"download", "blood", "-o", pipe}), 0);
  EXPECT_EQ(out(), "");
  EXPECT_THAT(err(), HasSubstr("verified"));
  EXPECT_EQ(Run({"--json", "download", "blood", "-o", pipe}), 0);
  EXPECT_EQ(out(), "");
  service_.models.chunks = {"other"};
  EXPECT_EQ(Run({"download", "blood", "-o", pipe}), 1);
  EXPECT_THAT(err(), HasSubstr("has got them all the same"));
  close(reader);
}

TEST_F(CliTest, ExportGivesEveryClassAFolderOfItsOwn) {
  const auto make = [this](const std::string& name, const std::vector<std::string>& classes) {
    uint8_t shade = 0;
    for (const std::string& class_name : classes) {
      for (const char* split : {"train", "val", "test"}) {
        const std::string at = absl::StrCat(folder_, "/", name, "/", split, "/", class_name);
        ASSERT_TRUE(MakeDirectories(at).ok());
        const Image image{28, 28, 3, std::vector<uint8_t>(28 * 28 * 3, ++shade)};
        ASSERT_TRUE(WriteFileAtomically(at + "/a.png", *EncodePng(image)).ok());
      }
    }
  };
  const std::string to = folder_ + "/to";
  make("cells", {"好中球", "好酸球", "CD4+", "CD4-"});
  EXPECT_EQ(Run({"datasets", "export", folder_ + "/cells", "-o", to}), 0) << err();
  for (const char* name : {"好中球", "好酸球", "CD4+", "CD4-"}) {
    EXPECT_TRUE(std::filesystem::is_directory(absl::StrCat(to, "/", name))) << name;
  }
  make("twins", {"a b", "a_b"});
  EXPECT_EQ(Run({"datasets", "export", folder_ + "/twins", "-o", to}), 2);
  EXPECT_THAT(err(), HasSubstr("\"a b\" and \"a_b\" would share the folder \"a_b\""));
}

TEST_F(CliTest, DatasetsNeedNoService) {
  const std::string svg = folder_ + "/classes.svg";
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--svg", svg}), 0);
  EXPECT_THAT(out(), HasSubstr("8 classes, 200 images"));
  EXPECT_THAT(out(), HasSubstr("SYNTHETIC"));
  EXPECT_THAT(*ReadFile(svg, 1 << 20), HasSubstr("</svg>"));
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--svg", folder_ + "/missing/a.svg"}), 2)
      << "as for all files that cannot be written";
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--json"}), 0);
  EXPECT_EQ(OutJson()["class_names"].size(), 8u);
  EXPECT_EQ(Run({"datasets", "show", folder_ + "/missing.npz"}), 3);
}

TEST_F(CliTest, DatasetsAreReadAsAJobWithTheseFlagsReadsThem) {
  const std::string cells = folder_ + "/cells";
  uint8_t shade = 0;
  for (const char* at : {"/train/a", "/train/b", "/val/a", "/val/b", "/test/a", "/test/b"}) {
    ASSERT_TRUE(MakeDirectories(cells + at).ok());
    const Image image{64, 48, 3, std::vector<uint8_t>(64 * 48 * 3, ++shade)};
    ASSERT_TRUE(WriteFileAtomically(cells + at + "/1.png", *EncodePng(image)).ok());
  }
  EXPECT_EQ(Run({"datasets", "show", cells, "--json"}), 0) << err();
  EXPECT_EQ(OutJson()["width"], 28);
  EXPECT_EQ(
      Run({"datasets", "show", "--image-size", "32", "--class-names", "x,y", cells, "--json"}), 0)
      << err();
  EXPECT_EQ(OutJson()["width"], 32);
  EXPECT_EQ(OutJson()["height"], 32);
  EXPECT_EQ(OutJson()["class_names"], Json::array({"x", "y"}));
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--image-size", "32"}), 2);
  EXPECT_THAT(err(), HasSubstr("--image-size 32 is for folders"));
}

TEST_F(CliTest, DatasetsSayWhatNoNetworkTakes) {
  const std::string path = folder_ + "/tiny.npz";
  ASSERT_TRUE(WriteFileAtomically(path, BuildZip(ValidMembers())).ok());
  EXPECT_EQ(Run({"datasets", "show", path}), 0);
  EXPECT_THAT(out(), HasSubstr("no job can use it: "));
  EXPECT_THAT(out(), HasSubstr("use 8 to 1024"));
  EXPECT_EQ(Run({"datasets", "show", path, "--json"}), 0);
  EXPECT_THAT(OutJson()["problem"].get<std::string>(), HasSubstr("2 pixels"));
  EXPECT_EQ(Run({"datasets", "show", "synthetic:200", "--json"}), 0);
  EXPECT_FALSE(OutJson().contains("problem"));
}

TEST_F(CliTest, ExportsImagesOfAllClassesInTurn) {
  EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "--count", "10", "-o", folder_, "--json"}),
            0);
  EXPECT_EQ(OutJson()["files"].size(), 10u);
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    folders += entry.is_directory() ? 1 : 0;
  }
  EXPECT_EQ(folders, 8);
}

TEST_F(CliTest, ExportSaysWhenThereAreNotAsManyImages) {
  const std::string to = folder_ + "/to";
  EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "--count", "4000", "-o", to}), 0);
  EXPECT_THAT(out(), HasSubstr(": all that there are, not 4000\n"));
  EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "-o", folder_ + "/few"}), 0);
  EXPECT_THAT(out(), Not(HasSubstr("all that there are")));
}

TEST_F(CliTest, ExportOverwritesNothingUnlessItIsTold) {
  const std::vector<std::string> command = {"datasets", "export", "synthetic:200", "--count",
                                            "8",        "-o",     folder_};
  EXPECT_EQ(Run(command), 0);
  std::string first;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    if (entry.is_regular_file()) first = entry.path().string();
  }
  const std::string before = *ReadFile(first, 1 << 20);
  EXPECT_EQ(Run(command), 2);
  EXPECT_THAT(err(), HasSubstr(".png is there already; name another folder with -o"));
  EXPECT_EQ(*ReadFile(first, 1 << 20), before);
  ASSERT_TRUE(WriteFileAtomically(first, "mine").ok());
  std::vector<std::string> forced = command;
  forced.push_back("--force");
  EXPECT_EQ(Run(forced), 0) << err();
  EXPECT_EQ(*ReadFile(first, 1 << 20), before);
}

TEST_F(CliTest, ExportsOfSeveralSplitsShareAFolder) {
  const auto files = [this] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    }
    return names;
  };
  for (const char* split : {"train", "val", "test"}) {
    const size_t before = files().size();
    EXPECT_EQ(Run({"datasets", "export", "synthetic:200", "--split", split, "--count", "8", "-o",
                   folder_}),
              0);
    EXPECT_EQ(files().size(), before + 8) << split;
  }
  EXPECT_THAT(files(), Contains("test-00000.png"));
}

}  // namespace
}  // namespace cytopress
