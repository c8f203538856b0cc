// Which job reproduce finds or makes, and that it goes on to the comparison.
#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/sha256.h"
#include "tests/client/cli/cli_fixture.h"
#include "tests/client/fake_service.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/scoped_environment.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kMaxRequestId = 128;  // as proto/cytopress/v1/jobs.proto says

// Answers a request whose id it knows with the job of it, as the server does.
class RememberingJobs : public FakeJobs {
 public:
  grpc::Status Compress(grpc::ServerContext*, const v1::CompressRequest* request,
                        v1::Job* job) override {
    EXPECT_FALSE(request->request_id().empty());
    EXPECT_LE(request->request_id().size(), kMaxRequestId);
    for (const auto& [id, known] : jobs) {
      if (known.request_id() != request->request_id()) continue;
      *job = known;
      return reused;
    }
    job->set_id(absl::StrCat("job-", jobs.size() + 1));
    job->set_state(v1::JOB_STATE_QUEUED);
    job->set_request_id(request->request_id());
    *job->mutable_spec() = request->spec();
    jobs[job->id()] = *job;
    return grpc::Status::OK;
  }

  grpc::Status reused;  // how it answers when it knows the id
};

// A model whose data are on another machine.
class CliReproduceTest : public ::testing::Test {
 protected:
  CliReproduceTest() {
    NetworkSpec network;
    network.architecture = "resnet20";
    network.stem = Stem::kCifar;
    network.classes = 3;
    network.input_height = network.input_width = 12;
    const absl::StatusOr<std::string> file =
        SerializeArtifact(RandomArtifact(network, v1::WEIGHT_TYPE_FP32));
    EXPECT_TRUE(file.ok()) << file.status();
    if (file.ok()) models_.chunks = {*file};
    if (file.ok()) models_.sha256 = Sha256Hex(*file);
    models_.model.set_name("blood");
    models_.model.set_version(1);
    models_.model.set_sha256(models_.sha256);
    v1::Provenance* const provenance = models_.model.mutable_provenance();
    provenance->set_job_id("the job of the original");
    provenance->set_dataset_hash("0123");
    provenance->mutable_spec()->set_model_name("blood");
    provenance->mutable_spec()->mutable_dataset()->set_uri("/nowhere/blood.npz");
    grpc::ServerBuilder builder;
    builder.RegisterService(&jobs_).RegisterService(&models_);
    server_ = builder.BuildAndStart();
  }
  ~CliReproduceTest() override { server_->Shutdown(); }

  // The exit code of `cytopress reproduce`; what was printed is in out_ and err_.
  int Reproduce(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> arguments = {"reproduce", models_.model.name()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto connect =
        [this](const ClientOptions& options) -> absl::StatusOr<std::unique_ptr<Client>> {
      return std::make_unique<Client>(server_->InProcessChannel({}), options);
    };
    return RunCommand(arguments, connect, &out_, &err_);
  }

  // As a window that is closed: nobody sees how the job ends.
  int ReproduceInterrupted(const std::vector<std::string>& flags = {}) {
    jobs_.scripts = {{{}, grpc::Status(grpc::StatusCode::INTERNAL, "interrupted")}};
    return Reproduce(flags);
  }

  // The job ends so, whether or not somebody watches it.
  void End(const std::string& id, v1::JobState state) {
    v1::Job& job = jobs_.jobs[id];
    job.set_id(id);
    job.set_state(state);
    if (state == v1::JOB_STATE_FAILED) job.set_error("the data were away");
    jobs_.scripts = {{{job}, grpc::Status::OK}};
  }

  void Publish(const std::string& job_id, const std::string& name) {
    models_.others = {models_.model};
    models_.others[0].set_name(name);
    models_.others[0].mutable_provenance()->set_job_id(job_id);
  }

  const ScopedEnvironment server_address_{"CYTOPRESS_SERVER"};
  RememberingJobs jobs_;
  FakeModels models_;
  std::unique_ptr<grpc::Server> server_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(CliReproduceTest, FindsItsJobAgainAndGoesOnToTheComparison) {
  EXPECT_EQ(ReproduceInterrupted(), 1);
  EXPECT_THAT(out_.str(), HasSubstr("job job-1 makes blood again as blood-reproduced; after an "
                                    "interrupt the same command finds it"));
  End("job-1", v1::JOB_STATE_SUCCEEDED);
  Publish("job-1", "blood-reproduced");
  EXPECT_EQ(Reproduce(), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("job job-1 of an earlier call has made blood again"));
  EXPECT_THAT(out_.str(), HasSubstr("equal: every tensor"));
  EXPECT_EQ(jobs_.jobs.size(), 1u);
}

TEST_F(CliReproduceTest, GoesOnWithAJobThatStillRuns) {
  EXPECT_EQ(ReproduceInterrupted(), 1);
  jobs_.jobs["job-1"].set_state(v1::JOB_STATE_RUNNING);
  EXPECT_EQ(ReproduceInterrupted({"--tolerance", "0.5"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("job job-1 makes blood again"));
  EXPECT_EQ(jobs_.jobs.size(), 1u);
}

TEST_F(CliReproduceTest, ADetachedJobIsComparedByTheNextCall) {
  EXPECT_EQ(Reproduce({"--detach"}), 0) << err_.str();
  EXPECT_EQ(out_.str(),
            "job job-1 makes blood@1 again as blood-reproduced; follow it with: cytopress watch "
            "job-1\ncompare it with: cytopress reproduce blood@1 and the same flags without "
            "--detach, which finds the job\n");
  EXPECT_EQ(jobs_.watches, 0);
  End("job-1", v1::JOB_STATE_SUCCEEDED);
  Publish("job-1", "blood-reproduced");
  EXPECT_EQ(Reproduce({"--detach"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("job job-1 of an earlier call has made blood@1 again as"));
  EXPECT_EQ(Reproduce({"--detach", "--json"}), 0) << err_.str();
  EXPECT_EQ(Json::parse(out_.str())["id"], "job-1");
  EXPECT_EQ(Reproduce(), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("equal: every tensor"));
  EXPECT_EQ(jobs_.jobs.size(), 1u);
}

TEST_F(CliReproduceTest, OtherWorkIsAnotherJob) {
  EXPECT_EQ(ReproduceInterrupted(), 1);
  EXPECT_EQ(ReproduceInterrupted({"--name", "again"}), 1);
  EXPECT_EQ(jobs_.jobs.size(), 2u);
  EXPECT_EQ(ReproduceInterrupted({"--device", "cuda:0"}), 1);
  EXPECT_EQ(jobs_.jobs.size(), 3u);
  models_.model.set_sha256("another original");
  EXPECT_EQ(ReproduceInterrupted(), 1);
  EXPECT_EQ(jobs_.jobs.size(), 4u);
}

TEST_F(CliReproduceTest, AnotherJobFollowsOneThatHasLeftNoModel) {
  EXPECT_EQ(ReproduceInterrupted(), 1);
  End("job-1", v1::JOB_STATE_FAILED);
  EXPECT_EQ(ReproduceInterrupted(), 1);
  EXPECT_THAT(out_.str(), HasSubstr("job job-1 of an earlier call has left no blood-reproduced: "
                                    "the data were away; another follows"));
  EXPECT_EQ(jobs_.jobs.size(), 2u);
  End("job-2", v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(ReproduceInterrupted(), 1);
  EXPECT_EQ(jobs_.jobs.size(), 3u);
  End("job-3", v1::JOB_STATE_SUCCEEDED);
  Publish("job-3", "blood-reproduced");
  EXPECT_EQ(Reproduce(), 0) << err_.str();
  EXPECT_EQ(jobs_.jobs.size(), 3u);
  models_.others.clear();  // deleted
  EXPECT_EQ(ReproduceInterrupted(), 1);
  EXPECT_THAT(out_.str(), HasSubstr("job job-4 makes blood again"));
  EXPECT_EQ(jobs_.jobs.size(), 4u);
}

TEST_F(CliReproduceTest, ATryIsComparedThoughItsSearchFailed) {
  models_.model.set_name("blood-try2");
  models_.model.mutable_provenance()->mutable_spec()->mutable_goal()->set_max_tries(3);
  EXPECT_EQ(ReproduceInterrupted({"--name", "again"}), 1);
  End("job-1", v1::JOB_STATE_FAILED);
  Publish("job-1", "again-try2");
  EXPECT_EQ(Reproduce({"--name", "again"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("equal: every tensor"));
  EXPECT_EQ(jobs_.jobs.size(), 1u);
}

TEST_F(CliReproduceTest, SaysWhatToDoWhenTheServersDefaultsHaveChanged) {
  EXPECT_EQ(ReproduceInterrupted(), 1);
  jobs_.reused = grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "used for job job-1");
  EXPECT_EQ(Reproduce(), 1);
  EXPECT_THAT(err_.str(), HasSubstr("used for job job-1"));
  EXPECT_THAT(err_.str(), HasSubstr("name another model with --name"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("makes blood again")));
}

}  // namespace
}  // namespace cytopress
