// What the command line makes of errors: exit codes, words for people and JSON for programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/cli.h"
#include "core/base/file.h"
#include "tests/client/cli/cli_fixture.h"
#include "tests/scoped_environment.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CliTest, EveryStatusHasItsExitCode) {
  for (const auto& [code, exit_code] :
       {std::pair{absl::StatusCode::kOk, ExitCode::kOk},
        {absl::StatusCode::kInvalidArgument, ExitCode::kUsage},
        {absl::StatusCode::kOutOfRange, ExitCode::kUsage},
        {absl::StatusCode::kNotFound, ExitCode::kNotFound},
        {absl::StatusCode::kUnavailable, ExitCode::kUnavailable},
        {absl::StatusCode::kDeadlineExceeded, ExitCode::kUnavailable},
        {absl::StatusCode::kResourceExhausted, ExitCode::kFailed},
        {absl::StatusCode::kFailedPrecondition, ExitCode::kFailed},
        {absl::StatusCode::kPermissionDenied, ExitCode::kFailed},
        {absl::StatusCode::kDataLoss, ExitCode::kFailed},
        {absl::StatusCode::kCancelled, ExitCode::kFailed},
        {absl::StatusCode::kInternal, ExitCode::kFailed},
        {absl::StatusCode::kUnknown, ExitCode::kFailed}}) {
    EXPECT_EQ(ExitCodeOf(absl::Status(code, "")), exit_code) << absl::StatusCodeToString(code);
  }
}

TEST_F(CliTest, ExitCodeSaysWhatWentWrong) {
  EXPECT_EQ(Run({"jobs", "nothing"}), 3);
  EXPECT_THAT(err(), HasSubstr("no job \"nothing\""));
  EXPECT_EQ(Run({"watch", "job-1"}), 4);
  EXPECT_THAT(err(), HasSubstr("Is it running there?"));
  service_.jobs.compress_error = BadField("spec.model_name", "is taken");
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 2);
  EXPECT_THAT(err(), HasSubstr("--name: is taken"));
  service_.jobs.compress_error = grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "too slow");
  EXPECT_EQ(
      Run({"compress", "--name", "blood", "--dataset", "synthetic", "--timeout", "25", "--detach"}),
      4);
  EXPECT_THAT(err(), HasSubstr("no answer from 127.0.0.1:8500 within 25 s (too slow)"));
  EXPECT_THAT(err(), HasSubstr("Allow more with --timeout."));
  for (const char* passed : {"no answer within 30s", "nothing moved for 30s"}) {
    service_.jobs.compress_error = grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, passed);
    EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 4);
    EXPECT_THAT(err(), HasSubstr("within 30 s\n"));
  }
}

TEST_F(CliTest, SaysWhereJobsAreListed) {
  google::rpc::ErrorInfo info;
  info.set_reason("JOB_NOT_FOUND");
  const grpc::Status missing = RichStatus(grpc::StatusCode::NOT_FOUND, "no job \"123\"", {&info});
  service_.jobs.scripts = {{{}, missing}};
  EXPECT_EQ(Run({"watch", "123"}), 3);
  EXPECT_THAT(err(), HasSubstr("`cytopress jobs` lists those that there are."));
}

TEST_F(CliTest, ErrorsAreJsonWhereThatIsAskedFor) {
  EXPECT_EQ(Run({"--json", "jobs", "nothing"}), 3);
  EXPECT_EQ(Json::parse(err())["error"]["code"], "NOT_FOUND");
  EXPECT_FALSE(Json::parse(err())["error"].contains("reason"));
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"jobs", "--state", "foo", "--json"}, {"--json", "modles"}, {"--json"}}) {
    EXPECT_EQ(Run(wrong), 2);
    EXPECT_EQ(Json::parse(err())["error"]["code"], "INVALID_ARGUMENT");
    EXPECT_THAT(std::string(Json::parse(err())["error"]["hint"]), HasSubstr("--help"));
  }
  google::rpc::ErrorInfo info;
  info.set_reason("QUEUE_FULL");
  service_.jobs.compress_error =
      RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", {&info});
  EXPECT_EQ(Run({"--json", "compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_EQ(Json::parse(err())["error"]["reason"], "QUEUE_FULL");
  EXPECT_EQ(Json::parse(err())["error"]["message"], "the queue is full");
  EXPECT_FALSE(Json::parse(err())["error"].contains("metadata"));
  (*info.mutable_metadata())["limit"] = "1000";
  service_.jobs.compress_error =
      RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", {&info});
  EXPECT_EQ(Run({"--json", "compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_EQ(Json::parse(err())["error"]["message"], "the queue is full");
  EXPECT_EQ(Json::parse(err())["error"]["metadata"]["limit"], "1000");
  service_.jobs.compress_error = grpc::Status(grpc::StatusCode::UNAVAILABLE, "refused");
  EXPECT_EQ(Run({"--json", "compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_EQ(Json::parse(err())["error"]["message"],
            "cannot reach cytopressd at 127.0.0.1:8500: refused");
  EXPECT_THAT(std::string(Json::parse(err())["error"]["hint"]), HasSubstr("Is it running there?"));
}

TEST_F(CliTest, RefusalsNameTheFlags) {
  google::rpc::BadRequest bad_request;
  const auto add = [&bad_request](const std::string& field, const std::string& description) {
    google::rpc::BadRequest::FieldViolation* violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description(description);
  };
  add("spec.network.input_height", "5000 pixels");
  add("spec.network.input_width", "5000 pixels");
  add("spec.dataset.class_names[1]", "is there twice");
  add("spec.recipe.prune.sparsity", "does not go with PRUNE_PATTERN_TWO_OF_FOUR");
  add("spec.recipe.prune.gradual_fraction", "add recipe.finetune");
  add("spec.recipe.train.momentum", "5 is too much");
  service_.jobs.compress_error =
      RichStatus(grpc::StatusCode::INVALID_ARGUMENT, "the first", {&bad_request});
  EXPECT_EQ(Run({"compress", "--name", "x", "--dataset", "synthetic"}), 2);
  EXPECT_EQ(err(),
            "cytopress: --image-size: 5000 pixels; --class-names: is there twice; --sparsity: does "
            "not go with 2:4; --gradual: add --finetune-epochs; recipe.train.momentum: 5 is too "
            "much\n");
  const std::string file = folder_ + "/recipe.json";
  ASSERT_TRUE(WriteFileAtomically(file, "{}").ok());
  EXPECT_EQ(Run({"sweep", "--name", "x", "--dataset", "synthetic", "--recipe-file", file}), 2);
  EXPECT_THAT(err(), HasSubstr("recipe.prune.gradual_fraction: add recipe.finetune;"));
  EXPECT_THAT(err(), HasSubstr("--image-size: 5000 pixels"));
}

TEST_F(CliTest, OnlyAServiceIsOverloaded) {
  google::rpc::ErrorInfo info;
  info.set_reason("OVERLOADED");
  service_.jobs.compress_error =
      RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", {&info});
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError("cannot write: no space left")),
            ExitCode::kFailed);
  info.set_reason("DISK_FULL");
  service_.jobs.compress_error =
      RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "database or disk is full", {&info});
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 1);
  EXPECT_EQ(ExitCodeOf(FilesFailed(1, 3, "1 of 3")), ExitCode::kFilesFailed);
}

TEST_F(CliTest, SaysWhatMayKeepItFromAServer) {
  const auto hint = [this](const char* message, std::vector<std::string> flags) {
    service_.jobs.compress_error = grpc::Status(grpc::StatusCode::UNAVAILABLE, message);
    flags.insert(flags.begin(), {"compress", "--name", "x", "--dataset", "synthetic"});
    EXPECT_EQ(Run(flags), 4);
    return err();
  };
  EXPECT_THAT(hint("Ssl handshake failed: wrong version number", {"--tls"}),
              HasSubstr("speak no TLS: leave --tls"));
  EXPECT_THAT(hint("Ssl handshake failed: certificate verify failed", {"--tls"}),
              HasSubstr("--tls-ca"));
  EXPECT_THAT(hint("Socket closed", {}), HasSubstr("give --tls"));
  EXPECT_THAT(hint("Socket closed", {"--tls"}), HasSubstr("give --tls-cert and --tls-key"));
  EXPECT_THAT(hint("Socket closed", {"--tls-cert", "a", "--tls-key", "b"}),
              HasSubstr("does not take this client's certificate"));
  EXPECT_THAT(hint("Peer name 127.0.0.1 is not in peer certificate", {"--tls"}),
              HasSubstr("by a name that stands in the certificate"));
  EXPECT_THAT(hint("connection refused", {}), HasSubstr("Is it running there?"));
  {
    const ScopedEnvironment proxy("http_proxy", "http://proxy:3128");
    EXPECT_THAT(hint("refused", {"--server", "cells:1"}),
                HasSubstr("http_proxy=http://proxy:3128"));
    EXPECT_THAT(hint("refused", {}), Not(HasSubstr("proxy")));
  }
  EXPECT_EQ(Run({"jobs", "--server", "http://cells:8500"}), 2);
  EXPECT_THAT(err(), HasSubstr("'http://cells:8500' is not HOST:PORT: leave http:// out"));
  for (const char* host : {"cells", "127.0.0.1", "[::1]", "cells:"}) {
    EXPECT_EQ(Run({"jobs", "--server", host}), 2);
    EXPECT_THAT(err(), HasSubstr("has no port; give HOST:PORT"));
    EXPECT_THAT(err(), Not(HasSubstr("::8500")));
  }
  EXPECT_EQ(Run({"jobs", "--server", "127.0.0.1:abc"}), 2);
  EXPECT_THAT(err(), HasSubstr("port abc is no number"));
  for (const char* server : {"unix:/run/cytopress", "dns:///cells", "[::1]:8500"}) {
    EXPECT_EQ(Run({"jobs", "--server", server}), 0) << server;
  }
}

TEST_F(CliTest, KnowsAServerOfAnotherKind) {
  const char* const answer = "Received http2 header with status: 404";
  service_.jobs.compress_error = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, answer);
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_EQ(err(), absl::StrCat("cytopress: what listens at 127.0.0.1:8500 is no cytopressd: ",
                                answer, "\n  Name another with --server or CYTOPRESS_SERVER.\n"));
  service_.jobs.compress_error =
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "Trying to connect an http1.x server");
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_THAT(err(), HasSubstr("What listens there is no cytopressd."));
}

TEST_F(CliTest, AServerThatAnswersIsNotSaidToBeAway) {
  google::rpc::ErrorInfo info;
  info.set_reason("UNAVAILABLE");
  service_.jobs.compress_error =
      RichStatus(grpc::StatusCode::UNAVAILABLE, "job database: connection refused", {&info});
  EXPECT_EQ(Run({"compress", "--name", "blood", "--dataset", "synthetic"}), 4);
  EXPECT_EQ(err(), "cytopress: job database: connection refused\n");
}

}  // namespace
}  // namespace cytopress
