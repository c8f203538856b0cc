// sweep, report and reproduce on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "client/cli/cli.h"
#include "client/report/source.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "tests/client/cli/cli_fixture.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int64_t kMaxReportBytes = 1 << 24;

// Two cells, of which one is done.
v1::Job SweepJob(v1::JobState state) {
  v1::Job job;
  job.set_id("job-1");
  job.set_state(state);
  job.mutable_spec()->set_model_name("blood");
  job.mutable_spec()->mutable_dataset()->set_uri("nowhere.npz");
  job.mutable_spec()->mutable_sweep()->add_sparsities(0.5);
  job.mutable_spec()->mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
  job.mutable_spec()->mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT4);
  return job;
}

v1::Model CellModel() {
  v1::Model model;
  model.set_name("blood-s50-int8");
  model.set_version(3);
  model.set_weights(v1::WEIGHT_TYPE_INT8);
  model.add_class_names("basophil");
  model.add_class_names("monocyte");
  model.mutable_size()->set_dense_bytes(94000000);
  model.mutable_size()->set_disk_bytes(9400000);
  v1::Evaluation* test = model.add_evaluations();
  test->set_split("test");
  test->set_accuracy(0.9612);
  for (const int count : {40, 2, 3, 55}) test->add_confusion(count);
  v1::Provenance* provenance = model.mutable_provenance();
  provenance->set_job_id("job-1");
  provenance->set_dataset_name("blood");
  *provenance->mutable_spec() = SweepJob(v1::JOB_STATE_RUNNING).spec();
  return model;
}

TEST_F(CliTest, SweepSubmitsTheGrid) {
  EXPECT_EQ(Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--sparsities", "0,0.8",
                 "--weights", "int8,int4", "--pattern", "block4", "--finetune-epochs", "3",
                 "--from-dense", "--detach"}),
            0);
  EXPECT_THAT(out(), HasSubstr("and write its report with: cytopress report job-1\n"));
  const v1::JobSpec& spec = service_.jobs.last_request.spec();
  EXPECT_THAT(spec.sweep().sparsities(), ElementsAre(0, 0.8));
  EXPECT_THAT(spec.sweep().weights(), ElementsAre(v1::WEIGHT_TYPE_INT8, v1::WEIGHT_TYPE_INT4));
  EXPECT_TRUE(spec.sweep().from_dense());
  EXPECT_EQ(spec.recipe().name(), "lossless");
  EXPECT_EQ(spec.recipe().prune().pattern(), v1::PRUNE_PATTERN_BLOCK4);
  EXPECT_EQ(spec.recipe().finetune().epochs(), 3);
  EXPECT_EQ(spec.recipe().max_accuracy_drop(), 0);  // a lossy cell is shown, not an error
  EXPECT_EQ(Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--max-accuracy-drop",
                 "0.05", "--detach"}),
            0);
  EXPECT_DOUBLE_EQ(service_.jobs.last_request.spec().recipe().max_accuracy_drop(), 0.05);
  EXPECT_EQ(service_.jobs.last_request.spec().sweep().sparsities_size(), 7);
  EXPECT_EQ(service_.jobs.last_request.spec().sweep().weights_size(), 3);
  // A recipe that only reports ends no sweep.
  EXPECT_EQ(
      Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--recipe", "paper", "--detach"}),
      0);
  EXPECT_DOUBLE_EQ(service_.jobs.last_request.spec().recipe().max_accuracy_drop(), 0.05);
  EXPECT_EQ(Run({"sweep", "--name", "x", "--dataset", "synthetic", "--weights", "int3"}), 2);
  // 2:4 has one sparsity.
  EXPECT_EQ(Run({"sweep", "--name", "x", "--dataset", "synthetic", "--pattern", "2:4"}), 2);
  EXPECT_EQ(Run({"sweep", "--help"}), 0);
  EXPECT_THAT(out(), testing::Not(HasSubstr("2:4")));
  // What the user wrote down is kept.
  const std::string file = folder_ + "/strict.json";
  ASSERT_TRUE(WriteFileAtomically(file, R"({"max_accuracy_drop": 0.01})").ok());
  EXPECT_EQ(
      Run({"sweep", "--name", "x", "--dataset", "synthetic", "--recipe-file", file, "--detach"}),
      0);
  EXPECT_DOUBLE_EQ(service_.jobs.last_request.spec().recipe().max_accuracy_drop(), 0.01);
}

TEST_F(CliTest, ADetachedSweepSaysHowToWriteTheReportThatWasAskedFor) {
  EXPECT_EQ(Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--report", "grid.html",
                 "--detach"}),
            0)
      << err();
  EXPECT_THAT(out(), HasSubstr("with: cytopress report job-1 -o grid.html\n"));
}

TEST_F(CliTest, SweepFollowsTheJobAndWritesTheReport) {
  service_.models.model = CellModel();
  service_.jobs.scripts = {{{SweepJob(v1::JOB_STATE_SUCCEEDED)}, grpc::Status::OK}};
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--sparsities", "0.5",
                 "--weights", "int8,int4", "--report", path}),
            0);
  EXPECT_THAT(out(), HasSubstr("job job-1 has made 1 of 2 models"));
  EXPECT_THAT(out(), HasSubstr("1 of 2 models\n"));
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr("<b>0.9612</b>"));
}

TEST_F(CliTest, SweepWantsAPlaceForItsReportBeforeItStarts) {
  EXPECT_EQ(Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--report",
                 folder_ + "/missing/report.html"}),
            2);
  EXPECT_TRUE(service_.jobs.last_request.spec().model_name().empty());
}

TEST_F(CliTest, SweepThatCannotWriteItsReportEndsAsItsJobDid) {
  service_.models.model = CellModel();
  const std::string folder = folder_ + "/reports";
  // While the sweep runs, the place for its report is lost.
  sleep_ = [&folder](absl::Duration) { std::filesystem::remove_all(folder); };
  const auto sweep = [&](v1::JobState state, bool json) {
    EXPECT_TRUE(MakeDirectories(folder).ok());
    service_.jobs.scripts = {
        {{SweepJob(v1::JOB_STATE_RUNNING)}, grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone")},
        {{SweepJob(state)}, grpc::Status::OK}};
    std::vector<std::string> command = {"sweep",
                                        "--name",
                                        "blood",
                                        "--dataset",
                                        "synthetic",
                                        "--sparsities",
                                        "0.5",
                                        "--weights",
                                        "int8,int4",
                                        "--report",
                                        folder + "/report.html"};
    if (json) command.push_back("--json");
    return Run(command);
  };
  EXPECT_EQ(sweep(v1::JOB_STATE_FAILED, /*json=*/false), 5);
  EXPECT_THAT(err(), HasSubstr("the report is not written: "));
  EXPECT_THAT(err(), HasSubstr("cytopress report job-1"));
  EXPECT_EQ(sweep(v1::JOB_STATE_CANCELLED, /*json=*/true), 6);
  const Json error = Json::parse(err())["error"];
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("the report is not written: "));
  EXPECT_THAT(error["hint"].get<std::string>(), HasSubstr("cytopress report job-1"));
  EXPECT_EQ(sweep(v1::JOB_STATE_SUCCEEDED, /*json=*/false), 3) << "there is no such folder";
  EXPECT_THAT(err(), HasSubstr("cytopress report job-1"));
}

TEST_F(CliTest, SweepWritesNoReportWhereItSaysHowItGoes) {
  for (const char* name : {"-", "/dev/stdout"}) {
    EXPECT_EQ(Run({"sweep", "--name", "blood", "--dataset", "synthetic", "--report", name}), 2);
    EXPECT_THAT(err(), HasSubstr("cytopress report ID -o -"));
  }
  EXPECT_TRUE(service_.jobs.last_request.spec().model_name().empty());
}

TEST_F(CliTest, ReportOnStandardOutputIsThePageAlone) {
  service_.models.model = CellModel();
  for (const char* name : {"-", "/dev/stdout"}) {
    EXPECT_EQ(Run({"report", "blood-s50-int8", "-o", name}), 0);
    EXPECT_THAT(out(), StartsWith("<!DOCTYPE html>"));
    EXPECT_THAT(out(), EndsWith("</html>\n"));
    EXPECT_EQ(err(), absl::StrCat("report: ", name, ", 1 of 1 models\n"));
    EXPECT_EQ(Run({"report", "blood-s50-int8", "-o", name, "--json"}), 0);
    EXPECT_THAT(out(), EndsWith("</html>\n"));
    EXPECT_EQ(Json::parse(err())["models"], 1);
  }
  EXPECT_FALSE(std::filesystem::exists("-"));
}

TEST_F(CliTest, ReportTellsAtOnceWhatItCannotWrite) {
  const std::string nowhere = folder_ + "/no/report.html";
  EXPECT_EQ(Run({"report", "no-such-job", "-o", nowhere}), 2) << "before anything is asked for";
  EXPECT_THAT(err(), HasSubstr("cannot write " + nowhere));
}

TEST_F(CliTest, ReportOfARunningSweepMarksWhatIsOpen) {
  service_.models.model = CellModel();
  v1::Job job = SweepJob(v1::JOB_STATE_RUNNING);
  job.mutable_progress()->set_fraction(0.5);
  service_.jobs.jobs["job-1"] = job;
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"report", "job-1", "-o", path}), 0);
  std::string html = *ReadFile(path, kMaxReportBytes);
  EXPECT_THAT(html, HasSubstr(">open<"));
  EXPECT_THAT(html, HasSubstr("50 % done"));
  EXPECT_THAT(html, HasSubstr("cytopress reproduce blood-s50-int8@3"));
  EXPECT_THAT(html, HasSubstr("--sparsities 0.5 --weights int8,int4"));
  job.add_ledger()->set_stage("blood-s50-int4");
  job.mutable_ledger(0)->set_kind(v1::STAGE_KIND_CELL);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  service_.jobs.jobs["job-1"] = job;
  EXPECT_EQ(Run({"report", "job-1", "-o", path}), 0);
  html = *ReadFile(path, kMaxReportBytes);
  EXPECT_THAT(html, Not(HasSubstr(">open<")));
  EXPECT_THAT(html, HasSubstr(">not published<"));
}

TEST_F(CliTest, ReportsCommandsDoTheSweepAgain) {
  service_.models.model = CellModel();
  v1::Job job = SweepJob(v1::JOB_STATE_SUCCEEDED);
  v1::JobSpec* spec = job.mutable_spec();
  spec->set_base_model("dense");
  spec->mutable_network()->set_stem(v1::STEM_CIFAR);
  spec->set_device("cuda:0");
  for (const char* name : {"a b", "c"}) spec->mutable_dataset()->add_class_names(name);
  spec->mutable_dataset()->set_seed(7);
  spec->mutable_recipe()->set_name("first");
  job.set_parent_model("dense@4");
  service_.jobs.jobs["job-1"] = job;
  job.set_id("job-2");
  spec->mutable_recipe()->set_name("second");
  service_.jobs.jobs["job-2"] = job;
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"report", "job-1", "job-2", "-o", path}), 0);
  const std::string html = *ReadFile(path, kMaxReportBytes);
  for (const char* text :
       {"--recipe-file recipe-blood.json", "--recipe-file recipe-job-2.json", "--base dense@4",
        "--stem cifar", "--class-names &#39;a b,c&#39;", "--dataset-seed 7", "--device cuda:0",
        "&quot;name&quot;: &quot;first&quot;", "&quot;name&quot;: &quot;second&quot;"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
}

TEST_F(CliTest, ReportGoesOnWithoutADeletedModel) {
  service_.models.model = CellModel();
  v1::Job job = SweepJob(v1::JOB_STATE_SUCCEEDED);
  job.add_ledger()->set_stage("blood-s50-int4");
  job.mutable_ledger(0)->set_published("blood-s50-int4@1");
  service_.jobs.jobs["job-1"] = job;
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"report", "job-1", "-o", path}), 0);
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr(">deleted<"));
  job.mutable_spec()->clear_sweep();
  job.set_model("gone@1");
  service_.jobs.jobs["job-1"] = job;
  EXPECT_EQ(Run({"report", "job-1", "-o", path}), 0) << err();
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr(">deleted<"));
}

TEST_F(CliTest, ReportOfASearchHasItsTries) {
  service_.models.model = CellModel();
  service_.models.model.set_name("blood-try2");
  service_.models.model.set_sha256("a file");
  v1::Job job = SweepJob(v1::JOB_STATE_FAILED);
  job.mutable_spec()->clear_sweep();
  job.mutable_spec()->mutable_goal()->set_max_tries(3);
  service_.jobs.jobs["job-1"] = job;
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"report", "job-1", "-o", path, "--json"}), 0) << err();
  EXPECT_EQ(OutJson()["models"], 1);
  EXPECT_EQ(OutJson()["cells"], 1) << "nothing is there in place of what was not made";
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr("blood-try2@3"));
}

TEST_F(CliTest, ReportOfASearchHasTheModelThatItChoseOnce) {
  service_.models.model = CellModel();
  service_.models.model.set_name("blood");
  service_.models.model.set_sha256("a file");
  service_.models.others = {service_.models.model, service_.models.model};
  service_.models.others[0].set_name("blood-try1");
  service_.models.others[0].set_sha256("another file");
  service_.models.others[1].set_name("blood-try2");
  v1::Job job = SweepJob(v1::JOB_STATE_SUCCEEDED);
  job.mutable_spec()->clear_sweep();
  job.mutable_spec()->mutable_goal()->set_max_tries(2);
  job.set_model("blood@3");
  service_.jobs.jobs["job-1"] = job;
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"report", "job-1", "-o", path, "--json"}), 0) << err();
  EXPECT_EQ(OutJson()["cells"], 2);
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), Not(HasSubstr("blood-try2")));
}

TEST_F(CliTest, ReportTakesModelsToo) {
  service_.models.model = CellModel();
  const std::string path = folder_ + "/report.html";
  EXPECT_EQ(Run({"report", "blood-s50-int8", "--output", path, "--json"}), 0);
  EXPECT_EQ(OutJson()["models"], 1);
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr("50 % INT8"));
  EXPECT_EQ(Run({"report", "blood-s50-int8", "blood-s50-int8@3", "--output", path, "--json"}), 0);
  EXPECT_EQ(OutJson()["cells"], 1) << "the same model twice";
  EXPECT_EQ(Run({"report", "nothing", "--output", path}), 3);
  EXPECT_THAT(err(), HasSubstr("neither a job"));
}

TEST_F(CliTest, ReportOfAModelByAnotherNameSaysHowMuchOfItIsPruned) {
  v1::Model model = CellModel();
  model.set_name("ready-made");
  model.mutable_size()->set_sparsity(0.9541);
  const std::string path = folder_ + "/report.html";
  service_.models.model = model;
  EXPECT_EQ(Run({"report", "ready-made", "-o", path}), 0);
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr("95 % INT8"));
  // Weights that rounding made zero are not pruned.
  model.add_ledger()->set_stage("load");
  model.add_ledger()->set_stage("quantize");
  model.mutable_ledger(0)->set_sparsity(0.8);
  service_.models.model = model;
  EXPECT_EQ(Run({"report", "ready-made", "-o", path}), 0);
  EXPECT_THAT(*ReadFile(path, kMaxReportBytes), HasSubstr("80 % INT8"));
}

TEST_F(CliTest, ReportPreparesAFolderAsTheModelTakesIt) {
  const std::string data = folder_ + "/data";
  int number = 0;
  for (const char* split : {"train", "val", "test"}) {
    for (const char* name : {"basophil", "monocyte"}) {
      Image image{40, 40, 3, std::vector<uint8_t>(40 * 40 * 3, static_cast<uint8_t>(++number))};
      const std::string folder = absl::StrCat(data, "/", split, "/", name);
      ASSERT_TRUE(MakeDirectories(folder).ok());
      ASSERT_TRUE(WriteFileAtomically(folder + "/a.png", *EncodePng(image)).ok());
    }
  }
  service_.models.model = CellModel();
  v1::Model* const model = &service_.models.model;
  model->mutable_preprocessing()->set_width(40);
  model->mutable_preprocessing()->set_height(40);
  model->mutable_preprocessing()->set_channels(3);
  model->mutable_provenance()->mutable_spec()->mutable_dataset()->set_uri(data);
  DatasetOptions options;
  options.folder_preprocessing.width = options.folder_preprocessing.height = 40;
  const absl::StatusOr<Dataset> dataset = LoadDataset(data, options);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  model->mutable_provenance()->set_dataset_hash(dataset->content_hash);
  Client client(service_.channel());
  const absl::StatusOr<ReportData> report = CollectReport(&client, {"blood-s50-int8"});
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->splits.size(), 3u);
  EXPECT_EQ(report->splits[0].split, "train");
}

// Answers with `error` when it is asked for the model "dense".
class ModelsWithoutDense : public FakeModels {
 public:
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::Model* model) override {
    if (request->name() == "dense") return error;
    return FakeModels::GetModel(context, request, model);
  }

  grpc::Status error;
};

TEST(CollectReport, GoesOnWithoutADenseParentOnlyWhereThereIsNone) {
  FakeJobs jobs;
  ModelsWithoutDense models;
  models.model = CellModel();
  models.model.mutable_certificate()->set_parent("dense@1");
  grpc::ServerBuilder builder;
  builder.RegisterService(&jobs).RegisterService(&models);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  Client client(server->InProcessChannel({}));
  for (const auto code : {grpc::StatusCode::NOT_FOUND, grpc::StatusCode::INVALID_ARGUMENT,
                          grpc::StatusCode::DATA_LOSS}) {
    models.error = grpc::Status(code, "no");
    const absl::StatusOr<ReportData> report = CollectReport(&client, {"blood-s50-int8"});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_FALSE(report->dense.has_value());
  }
  models.error = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  EXPECT_EQ(CollectReport(&client, {"blood-s50-int8"}).status().code(),
            absl::StatusCode::kUnavailable);
  server->Shutdown();
}

TEST_F(CliTest, ReproduceSaysThatThereIsNoTemporaryFolder) {
  service_.models.model = CellModel();
  service_.models.model.mutable_provenance()->set_dataset_hash("0123");
  const char* const before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TMPDIR", (folder_ + "/gone").c_str(), 1);
  EXPECT_EQ(Run({"reproduce", "blood-s50-int8"}), 1);
  if (before == nullptr) {
    unsetenv("TMPDIR");
  } else {
    setenv("TMPDIR", kept.c_str(), 1);
  }
  EXPECT_THAT(err(), HasSubstr("no temporary folder"));
}

TEST_F(CliTest, ReproduceRefusesOtherDataBeforeAnyWork) {
  service_.models.model = CellModel();
  v1::Provenance* provenance = service_.models.model.mutable_provenance();
  provenance->set_dataset_hash("0123");
  provenance->mutable_spec()->mutable_dataset()->set_uri("synthetic:200");
  EXPECT_EQ(Run({"reproduce", "blood-s50-int8"}), 1);
  EXPECT_THAT(err(), HasSubstr("the receipt's is 0123"));
  EXPECT_THAT(err(), HasSubstr("Nothing was started"));
  EXPECT_TRUE(service_.jobs.last_request.spec().model_name().empty());
}

TEST_F(CliTest, ReproduceMakesTheVersionThatIsAskedFor) {
  service_.models.model = CellModel();
  service_.models.model.mutable_provenance()->set_dataset_hash("0123");
  service_.models.model.mutable_provenance()->mutable_spec()->mutable_dataset()->set_uri(
      "synthetic:200");
  EXPECT_EQ(Run({"reproduce", "blood-s50-int8@3"}), 1);
  EXPECT_THAT(err(), HasSubstr("the receipt's is 0123"));
  EXPECT_EQ(Run({"reproduce", "blood-s50-int8@2"}), 3);
}

TEST_F(CliTest, ReproduceMakesTheDataSetsPathAbsoluteForTheWorker) {
  service_.models.model = CellModel();
  service_.models.model.mutable_provenance()->set_dataset_hash("0123");
  EXPECT_EQ(Run({"reproduce", "blood-s50-int8", "--dataset", "missing.npz"}), 3);
  EXPECT_THAT(err(), HasSubstr("missing.npz: there is no such file or folder here"));
  const std::string file = folder_ + "/data.npz";
  ASSERT_TRUE(WriteFileAtomically(file, "no archive").ok());
  const std::string relative = std::filesystem::relative(file).string();
  EXPECT_NE(Run({"reproduce", "blood-s50-int8", "--dataset", relative}), 0);
  EXPECT_THAT(err(), HasSubstr(std::filesystem::canonical(file).string()));
}

TEST_F(CliTest, ReproduceSaysWhyAReadyMadeModelCannotBe) {
  service_.models.model = CellModel();
  service_.models.model.set_name("ready-made");
  service_.models.model.mutable_provenance()->set_dataset_hash("0123");
  EXPECT_EQ(Run({"reproduce", "ready-made"}), 1);
  EXPECT_THAT(err(), HasSubstr("job-1, is not on this server"));
}

TEST_F(CliTest, ReportCommandsHaveExamples) {
  for (const char* command : {"sweep", "report", "reproduce"}) {
    EXPECT_EQ(Run({command, "--help"}), 0) << command;
    EXPECT_THAT(out(), HasSubstr("Examples:")) << command;
  }
}

}  // namespace
}  // namespace cytopress
