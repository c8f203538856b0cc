#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/sha256.h"
#include "tests/eventually.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelServiceTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  void Cancel(const v1::Job& job) {
    v1::CancelJobRequest cancel;
    cancel.set_id(job.id());
    v1::Job cancelled;
    EXPECT_TRUE(jobs_->CancelJob(Context().get(), cancel, &cancelled).ok());
  }
  grpc::Status Delete(const std::string& name, int64_t version) {
    v1::DeleteModelRequest request;
    request.set_name(name);
    request.set_version(version);
    v1::DeleteModelResponse response;
    return models_->DeleteModel(Context().get(), request, &response);
  }
  grpc::Status Get(const std::string& name, int64_t version, v1::Model* model) {
    v1::GetModelRequest request;
    request.set_name(name);
    request.set_version(version);
    return models_->GetModel(Context().get(), request, model);
  }
};

TEST_F(ModelServiceTest, GetsAVersionOrTheNewest) {
  Publish("cells", 1);
  Publish("cells", 2);
  v1::Model model;
  ASSERT_TRUE(Get("cells", 0, &model).ok());
  EXPECT_EQ(model.version(), 2);
  EXPECT_EQ(model.class_names_size(), 8);
  EXPECT_EQ(model.sha256(), Sha256Hex(TestArtifact(2)));
  ASSERT_TRUE(Get("cells", 1, &model).ok());
  EXPECT_EQ(model.version(), 1);
}

TEST_F(ModelServiceTest, SaysWhatIsWrongWithAModelsName) {
  v1::Model model;
  const grpc::Status missing = Get("cells", 0, &model);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(missing).info.reason(), "MODEL_NOT_FOUND");
  const grpc::Status invalid = Get("../cells", 0, &model);
  EXPECT_EQ(invalid.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(invalid).fields(), ElementsAre("name"));
  const grpc::Status negative = Get("cells", -1, &model);
  EXPECT_EQ(negative.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(negative).fields(), ElementsAre("version"));
}

TEST_F(ModelServiceTest, ListsInPages) {
  for (const char* name : {"b", "a", "b", "c"}) Publish(name);
  std::vector<std::string> listed;
  v1::ListModelsRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    v1::ListModelsResponse page;
    const grpc::Status status = models_->ListModels(Context().get(), request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const v1::Model& model : page.models()) {
      listed.push_back(ToString({model.name(), model.version()}));
    }
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty() && pages < 10);
  EXPECT_THAT(listed, ElementsAre("a@1", "b@2", "b@1", "c@1"));
  EXPECT_EQ(pages, 2);

  request.set_page_token("%%%");
  v1::ListModelsResponse page;
  const grpc::Status status = models_->ListModels(Context().get(), request, &page);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("page_token"));
}

TEST_F(ModelServiceTest, APageTokenIsOfTheNameThatItWasMadeFor) {
  for (const char* name : {"a", "b", "b", "c"}) Publish(name);
  v1::ListModelsRequest request;
  request.set_page_size(1);
  for (const auto& [name, another] : {std::pair("b", ""), {"", "b"}, {"b", "a"}}) {
    request.set_name(name);
    request.clear_page_token();
    v1::ListModelsResponse page;
    ASSERT_TRUE(models_->ListModels(Context().get(), request, &page).ok());
    ASSERT_NE(page.next_page_token(), "");
    request.set_page_token(page.next_page_token());
    EXPECT_TRUE(models_->ListModels(Context().get(), request, &page).ok());
    request.set_name(another);
    const grpc::Status status = models_->ListModels(Context().get(), request, &page);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("page_token"));
    EXPECT_THAT(status.error_message(), HasSubstr("another name"));
  }
}

TEST_F(ModelServiceTest, EndsAPageThatGrowsTooLarge) {
  Artifact artifact = TestModel();
  artifact.ledger.emplace_back().set_note(std::string(size_t{2} << 20, 'n'));
  const std::string bytes = *SerializeArtifact(artifact);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(OpenRegistry().Publish("large", bytes, "").ok());
  std::vector<int64_t> versions;
  v1::ListModelsRequest request;
  do {
    v1::ListModelsResponse page;
    const grpc::Status status = models_->ListModels(Context().get(), request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(page.models_size(), 1);
    versions.push_back(page.models(0).version());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(versions, ElementsAre(3, 2, 1));
}

TEST_F(ModelServiceTest, DownloadsTheFileAsItIs) {
  Publish("cells", 5);
  v1::DownloadModelRequest request;
  request.set_name("cells");
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto reader = models_->DownloadModel(context.get(), request);
  v1::DownloadModelResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.model().version(), 1);
  EXPECT_TRUE(response.data().empty());
  const std::string sha256 = response.model().sha256();
  std::string bytes;
  int chunks = 0;
  while (reader->Read(&response)) {
    EXPECT_FALSE(response.has_model());
    EXPECT_LE(response.data().size(), size_t{1} << 20);
    bytes += response.data();
    ++chunks;
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(bytes, TestArtifact(5));
  EXPECT_EQ(Sha256Hex(bytes), sha256);
  EXPECT_GT(chunks, 1) << "the file is larger than one chunk";
}

TEST_F(ModelServiceTest, ConvertsToOnnx) {
  Publish("cells", 5);
  v1::DownloadModelRequest request;
  request.set_name("cells");
  request.set_format(v1::MODEL_FORMAT_ONNX);
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto reader = models_->DownloadModel(context.get(), request);
  v1::DownloadModelResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.model().version(), 1);
  EXPECT_EQ(response.model().sha256(), Sha256Hex(TestArtifact(5)));
  const std::string sha256 = response.sha256();
  std::string bytes;
  while (reader->Read(&response)) {
    EXPECT_TRUE(response.sha256().empty());
    bytes += response.data();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(Sha256Hex(bytes), sha256);
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(bytes));
  EXPECT_EQ(model.model_version(), 1);
  EXPECT_EQ(model.producer_version(), CYTOPRESS_VERSION);
}

TEST_F(ModelServiceTest, ConvertsTwoModelsAtATime) {
  Publish("cells");
  v1::DownloadModelRequest request;
  request.set_name("cells");
  request.set_format(v1::MODEL_FORMAT_ONNX);
  v1::DownloadModelResponse response;
  {
    const std::unique_ptr<grpc::ClientContext> contexts[] = {Context(), Context(), Context()};
    // Neither is read to its end, so both conversions stay in memory.
    const auto first = models_->DownloadModel(contexts[0].get(), request);
    ASSERT_TRUE(first->Read(&response));
    const auto second = models_->DownloadModel(contexts[1].get(), request);
    ASSERT_TRUE(second->Read(&response));
    const auto third = models_->DownloadModel(contexts[2].get(), request);
    EXPECT_FALSE(third->Read(&response));
    EXPECT_EQ(third->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    contexts[0]->TryCancel();
    contexts[1]->TryCancel();
    first->Finish();
    second->Finish();
  }
  // Places become free when the server has noticed.
  grpc::Status status;
  do {
    const std::unique_ptr<grpc::ClientContext> context = Context();
    const auto reader = models_->DownloadModel(context.get(), request);
    while (reader->Read(&response)) {
    }
    status = reader->Finish();
  } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

class NoPatienceTest : public ModelServiceTest {
 protected:
  void Configure(DaemonOptions* options) override { options->file_patience = absl::ZeroDuration(); }
};

TEST_F(NoPatienceTest, WhoDoesNotReadMakesRoomForOthers) {
  Publish("cells");
  v1::DownloadModelRequest request;
  request.set_name("cells");
  request.set_format(v1::MODEL_FORMAT_ONNX);
  v1::DownloadModelResponse response;
  const std::unique_ptr<grpc::ClientContext> contexts[] = {Context(), Context()};
  const auto first = models_->DownloadModel(contexts[0].get(), request);
  ASSERT_TRUE(first->Read(&response));
  const auto second = models_->DownloadModel(contexts[1].get(), request);
  ASSERT_TRUE(second->Read(&response));
  grpc::Status status;
  do {
    const std::unique_ptr<grpc::ClientContext> context = Context();
    const auto third = models_->DownloadModel(context.get(), request);
    while (third->Read(&response)) {
    }
    status = third->Finish();
  } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(status.ok()) << status.error_message();
  for (const auto& stuck : {first.get(), second.get()}) {
    while (stuck->Read(&response)) {
    }
    EXPECT_EQ(stuck->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
}

TEST_F(ModelServiceTest, NamesAFormatThatIsUnknown) {
  Publish("cells");
  v1::DownloadModelRequest request;
  request.set_name("cells");
  request.set_format(static_cast<v1::ModelFormat>(99));
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto reader = models_->DownloadModel(context.get(), request);
  v1::DownloadModelResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("MODEL_FORMAT_ONNX"), std::string::npos);
}

TEST_F(ModelServiceTest, ADownloadMayBeGivenUp) {
  Publish("cells");
  v1::DownloadModelRequest request;
  request.set_name("cells");
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto reader = models_->DownloadModel(context.get(), request);
  v1::DownloadModelResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context->TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // The server goes on.
  v1::Model model;
  EXPECT_TRUE(Get("cells", 1, &model).ok());
}

TEST_F(ModelServiceTest, DownloadingNothingIsNotFound) {
  v1::DownloadModelRequest request;
  request.set_name("cells");
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto reader = models_->DownloadModel(context.get(), request);
  v1::DownloadModelResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(status).info.reason(), "MODEL_NOT_FOUND");
}

TEST_F(ModelServiceTest, DeletesAVeryVersion) {
  Publish("cells", 1);
  Publish("cells", 2);
  EXPECT_EQ(Delete("cells", 0).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(Delete("cells", 2).ok());
  v1::Model model;
  ASSERT_TRUE(Get("cells", 0, &model).ok());
  EXPECT_EQ(model.version(), 1);
  const grpc::Status again = Delete("cells", 2);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(again).info.reason(), "MODEL_NOT_FOUND");
}

TEST_F(ModelServiceTest, KeepsABaseThatAJobNeeds) {
  Publish("base");
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->set_base_model("base");
  const v1::Job job = MustCompress(request);
  const grpc::Status status = Delete("base", 1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(DetailsOf(status).info.reason(), "MODEL_IN_USE");
  EXPECT_EQ(DetailsOf(status).info.metadata().at("job"), job.id());
  Cancel(job);
  EXPECT_TRUE(Delete("base", 1).ok());
}

TEST_F(ModelServiceTest, KeepsABaseForWhichAnotherServerStoresAJob) {
  Publish("base");
  DaemonOptions options;
  options.grpc.listen = options.metrics_listen = "127.0.0.1:0";
  options.state_folder = temporary_.PathOf("other");
  options.models_folder = folder_ + "/models";
  options.database_url = absl::StrCat("sqlite://", folder_, "/jobs.db");
  options.workers = 0;
  const absl::StatusOr<std::unique_ptr<Daemon>> other = Daemon::Start(options);
  ASSERT_TRUE(other.ok()) << other.status();
  const auto jobs =
      v1::JobService::NewStub(OpenChannel(absl::StrCat("127.0.0.1:", (*other)->port())));

  // Its job waits for the database once its base has been found.
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/jobs.db").c_str(), &database), SQLITE_OK);
  sqlite3_busy_timeout(database, 10000);
  ASSERT_EQ(sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  std::thread compress([&] {
    v1::CompressRequest request = ValidCompress();
    request.mutable_spec()->set_base_model("base");
    v1::Job job;
    const grpc::Status status = jobs->Compress(Context().get(), request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
  });
  const std::string lock = folder_ + "/models/base/.lock";
  EXPECT_TRUE(Eventually([&] {
    const int file = open(lock.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(file, 0);
    const bool held = flock(file, LOCK_EX | LOCK_NB) != 0;
    close(file);
    return held;
  }));

  v1::DeleteModelRequest request;
  request.set_name("base");
  request.set_version(1);
  v1::DeleteModelResponse response;
  const std::unique_ptr<grpc::ClientContext> context = Context();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  EXPECT_EQ(models_->DeleteModel(context.get(), request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  compress.join();
  EXPECT_EQ(DetailsOf(Delete("base", 1)).info.reason(), "MODEL_IN_USE");
}

TEST_F(ModelServiceTest, KeepsTheParentThatAJobComparesWith) {
  const v1::Job job = MustCompress();  // from scratch, as "cells"
  const auto publish = [&](const std::string& job_id) {
    Artifact artifact = ParseArtifact(TestArtifact(1)).value();
    artifact.provenance.set_job_id(job_id);
    EXPECT_TRUE(
        OpenRegistry().Publish("cells-dense", SerializeArtifact(artifact).value(), job_id).ok());
  };
  publish("another job");
  publish(job.id());
  EXPECT_TRUE(Delete("cells-dense", 1).ok());
  const grpc::Status status = Delete("cells-dense", 2);
  EXPECT_EQ(DetailsOf(status).info.reason(), "MODEL_IN_USE");
  EXPECT_EQ(DetailsOf(status).info.metadata().at("job"), job.id());
  Cancel(job);
  EXPECT_TRUE(Delete("cells-dense", 2).ok());
}

TEST_F(ModelServiceTest, KeepsTheTriesThatASearchGoesBy) {
  Publish("base");
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->set_base_model("base");
  request.mutable_spec()->clear_recipe();
  request.mutable_spec()->mutable_goal()->set_max_bytes(1000000);
  const v1::Job job = MustCompress(request);
  Artifact artifact = ParseArtifact(TestArtifact(1)).value();
  artifact.provenance.set_job_id(job.id());
  const std::string file = SerializeArtifact(artifact).value();
  EXPECT_TRUE(OpenRegistry().Publish("cells-try1", file, job.id()).ok());
  EXPECT_TRUE(OpenRegistry().Publish("other-try1", file, job.id()).ok());
  const grpc::Status status = Delete("cells-try1", 1);
  EXPECT_EQ(DetailsOf(status).info.reason(), "MODEL_IN_USE");
  EXPECT_TRUE(Delete("other-try1", 1).ok()) << "is of no search";
  Cancel(job);
  EXPECT_TRUE(Delete("cells-try1", 1).ok());
}

}  // namespace
}  // namespace cytopress
