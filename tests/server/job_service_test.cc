#include "server/job_service.h"

#include <gmock/gmock.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/dataset_check.h"
#include "tests/captured_log.h"
#include "tests/eventually.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class JobServiceTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  v1::Job Get(const std::string& id) {
    v1::GetJobRequest request;
    request.set_id(id);
    v1::Job job;
    const grpc::Status status = jobs_->GetJob(Context().get(), request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
};

TEST_F(JobServiceTest, CompressStoresTheJobWithItsDefaults) {
  const v1::Job job = MustCompress();
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.spec().network().architecture(), "resnet50");
  EXPECT_GT(job.spec().recipe().train().epochs(), 0);
  const absl::StatusOr<v1::Job> stored = OpenStore()->Get(job.id());
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->spec().SerializeAsString(), job.spec().SerializeAsString());
  EXPECT_EQ(Get(job.id()).spec().model_name(), "cells");
}

TEST_F(JobServiceTest, CompressNamesEveryWrongField) {
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->set_model_name("No Name");
  request.mutable_spec()->mutable_recipe()->mutable_prune()->set_sparsity(1.5);
  request.set_request_id(std::string(129, 'x'));
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(),
              ElementsAre("spec.model_name", "spec.recipe.prune.sparsity", "request_id"));
  EXPECT_THAT(status.error_message(), HasSubstr("No Name"));
}

TEST_F(JobServiceTest, ARequestIdIsTextWithoutControlCharacters) {
  v1::CompressRequest request = ValidCompress();
  request.set_request_id(std::string("a\0b", 3));
  v1::Job job;
  EXPECT_THAT(DetailsOf(Compress(request, &job)).fields(), ElementsAre("request_id"));
}

TEST_F(JobServiceTest, CompressNamesAFieldThatItDoesNotKnow) {
  v1::CompressRequest request = ValidCompress();
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(2000, 1);
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("request"));
  EXPECT_THAT(status.error_message(), HasSubstr("request: holds field 2000"));
}

TEST_F(JobServiceTest, AnAbsurdlyWrongRequestStillGetsItsAnswer) {
  v1::CompressRequest request = ValidCompress();
  for (int i = 0; i < 1000; ++i) {
    request.mutable_spec()->mutable_dataset()->add_class_names(std::string(300, 'x'));
  }
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(DetailsOf(status).fields().at(0), "spec.dataset.class_names[0]");
}

TEST_F(JobServiceTest, ASpecificationThatIsTooLargeIsNotStored) {
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->mutable_recipe()->set_name(std::string(5 << 20, 'x'));
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("spec"));
  EXPECT_THAT(status.error_message(), HasSubstr("at most 4194304"));
}

TEST_F(JobServiceTest, ARepeatedRequestIdAnswersWithTheFirstJob) {
  v1::CompressRequest request = ValidCompress();
  request.set_request_id("once");
  const v1::Job first = MustCompress(request);
  EXPECT_EQ(MustCompress(request).id(), first.id());
  request.mutable_spec()->mutable_recipe()->mutable_prune()->set_sparsity(0.8);
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(DetailsOf(status).info.reason(), "REQUEST_ID_REUSED");
  EXPECT_EQ(DetailsOf(status).info.metadata().at("job"), first.id());
}

TEST_F(JobServiceTest, ARepeatedRequestIdAnswersWithTheFirstJobWhenItsBaseIsGone) {
  const ModelVersion base = Publish("base");
  v1::CompressRequest request = ValidCompress();
  for (const char* name : {"base", "base@1"}) {
    request.mutable_spec()->set_base_model(name);
    request.set_request_id(name);
    MustCompress(request);
  }
  ModelRegistry registry = OpenRegistry();
  ASSERT_EQ(registry.Delete(base), absl::OkStatus());
  for (const char* name : {"base", "base@1"}) {
    request.mutable_spec()->set_base_model(name);
    request.set_request_id(name);
    const v1::Job again = MustCompress(request);
    EXPECT_EQ(again.request_id(), name);
    EXPECT_EQ(again.spec().base_model(), "base@1");
  }
  v1::Job job;
  request.mutable_spec()->set_base_model("bas");
  EXPECT_EQ(Compress(request, &job).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  request.mutable_spec()->set_base_model("base");
  request.set_request_id("new");
  EXPECT_EQ(Compress(request, &job).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobServiceTest, ARepeatedRequestIdNeedsNoModelsFolder) {
  Publish("base");
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->set_base_model("base");
  request.set_request_id("once");
  const v1::Job first = MustCompress(request);
  // As where the folder is not mounted.
  ASSERT_TRUE(std::filesystem::remove(folder_ + "/models/.registry"));
  EXPECT_EQ(MustCompress(request).id(), first.id());
  request.set_request_id("new");
  v1::Job job;
  EXPECT_EQ(Compress(request, &job).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(JobServiceTest, TheBaseModelIsPinnedToItsVersion) {
  Publish("base");
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->set_base_model("base");
  request.set_request_id("pinned");
  const v1::Job job = MustCompress(request);
  EXPECT_EQ(job.spec().base_model(), "base@1");
  Publish("base", 2);
  EXPECT_EQ(MustCompress(request).id(), job.id()) << "a repetition after a new version came";
  request.set_request_id("later");
  EXPECT_EQ(MustCompress(request).spec().base_model(), "base@2");
}

TEST_F(JobServiceTest, AMissingBaseModelIsNotFound) {
  v1::CompressRequest request = ValidCompress();
  request.mutable_spec()->set_base_model("nothing");
  v1::Job job;
  const grpc::Status status = Compress(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(status).info.reason(), "MODEL_NOT_FOUND");
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("spec.base_model"));
}

TEST_F(JobServiceTest, UnknownJobsAreNotFound) {
  v1::GetJobRequest get;
  get.set_id("nothing");
  v1::CancelJobRequest cancel;
  cancel.set_id("nothing");
  v1::Job job;
  for (const grpc::Status& status : {jobs_->GetJob(Context().get(), get, &job),
                                     jobs_->CancelJob(Context().get(), cancel, &job)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(DetailsOf(status).info.reason(), "JOB_NOT_FOUND");
  }
}

TEST_F(JobServiceTest, AnEmptyIdIsInvalid) {
  v1::Job job;
  const grpc::Status status = jobs_->GetJob(Context().get(), v1::GetJobRequest(), &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("id"));
}

TEST_F(JobServiceTest, ListsInPagesNewestFirst) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(ids.begin(), MustCompress().id());
  std::vector<std::string> listed;
  v1::ListJobsRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    v1::ListJobsResponse page;
    const grpc::Status status = jobs_->ListJobs(Context().get(), request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const v1::Job& job : page.jobs()) listed.push_back(job.id());
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty() && pages < 10);
  EXPECT_EQ(listed, ids);
  EXPECT_EQ(pages, 3);
}

TEST_F(JobServiceTest, EndsAPageThatGrowsTooLarge) {
  std::vector<std::string> ids;
  const std::unique_ptr<JobStore> store = OpenStore();
  v1::LedgerEntry line;
  line.set_note(std::string(size_t{2} << 20, 'n'));
  for (int i = 0; i < 3; ++i) {
    ids.insert(ids.begin(), MustCompress().id());
    const auto leased = store->AcquireLease(absl::StrCat("w", i), "cpu", absl::Minutes(10));
    ASSERT_TRUE(leased.ok() && leased->has_value());
    ASSERT_TRUE(store->Start((*leased)->lease).ok());
    ASSERT_TRUE(store->AppendLedger((*leased)->lease, line).ok());
  }
  std::vector<std::string> listed;
  v1::ListJobsRequest request;
  do {
    v1::ListJobsResponse page;
    const grpc::Status status = jobs_->ListJobs(Context().get(), request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(page.jobs_size(), 1);
    listed.push_back(page.jobs(0).id());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, ids);
}

TEST_F(JobServiceTest, ADatabaseThatHangsHoldsUpNoCallAboutModels) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/jobs.db").c_str(), &database), SQLITE_OK);
  sqlite3_busy_timeout(database, 10000);
  ASSERT_EQ(sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  std::atomic<int> ended{0};
  std::vector<std::thread> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.emplace_back([&] {
      v1::Job job;
      Compress(ValidCompress(), &job);
      ++ended;
    });
  }
  // One that needs no lock is not answered once they have taken all threads.
  v1::GetJobRequest request;
  request.set_id("unknown");
  EXPECT_TRUE(Eventually([&] {
    const std::unique_ptr<grpc::ClientContext> context = Context();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    v1::Job job;
    const grpc::Status looked = jobs_->GetJob(context.get(), request, &job);
    return looked.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  }));
  v1::ListModelsResponse models;
  EXPECT_TRUE(models_->ListModels(Context().get(), v1::ListModelsRequest(), &models).ok());
  EXPECT_EQ(ended, 0) << "it waited for them";
  EXPECT_EQ(sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  for (std::thread& thread : waiting) thread.join();
}

TEST_F(JobServiceTest, ListRefusesWhatMakesNoSense) {
  v1::ListJobsRequest negative;
  negative.set_page_size(-1);
  v1::ListJobsRequest token;
  token.set_page_token("made up");
  v1::ListJobsRequest state;
  state.add_states(static_cast<v1::JobState>(77));
  for (const auto& [request, field] :
       {std::pair(negative, "page_size"), {token, "page_token"}, {state, "states[0]"}}) {
    v1::ListJobsResponse page;
    const grpc::Status status = jobs_->ListJobs(Context().get(), request, &page);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_THAT(DetailsOf(status).fields(), ElementsAre(field));
    EXPECT_EQ(status.error_message().rfind(absl::StrCat(field, ": ")), 0u)
        << "it stands once in \"" << status.error_message() << '"';
  }
}

TEST_F(JobServiceTest, CancelsAQueuedJobAndNoEndedOne) {
  const v1::Job job = MustCompress();
  v1::CancelJobRequest request;
  request.set_id(job.id());
  v1::Job cancelled;
  ASSERT_TRUE(jobs_->CancelJob(Context().get(), request, &cancelled).ok());
  EXPECT_EQ(cancelled.state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(jobs_->CancelJob(Context().get(), request, &cancelled).ok());

  const v1::Job other = MustCompress();
  const std::unique_ptr<JobStore> store = OpenStore();
  const auto leased = store->AcquireLease("w", "cpu", absl::Seconds(30));
  ASSERT_TRUE(leased.ok() && leased->has_value());
  ASSERT_TRUE(store->Start((*leased)->lease).ok());
  ASSERT_TRUE(store->Fail((*leased)->lease, "broken", /*retryable=*/false).ok());
  request.set_id(other.id());
  const grpc::Status status = jobs_->CancelJob(Context().get(), request, &cancelled);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(DetailsOf(status).info.reason(), "JOB_ENDED");
}

// With local workers the data set is on this machine.
class LocalDatasetTest : public JobServiceTest {
 protected:
  void Configure(DaemonOptions* options) override {
    options->workers = 1;
    options->worker_program = "/bin/true";  // takes no job
  }
  v1::CompressRequest WithDataset(const std::string& uri) {
    v1::CompressRequest request = ValidCompress();
    request.mutable_spec()->mutable_dataset()->set_uri(uri);
    request.mutable_spec()->set_device("cpu");
    return request;
  }
};

TEST_F(LocalDatasetTest, ThePathOfADatasetMustExist) {
  for (const std::string& uri : {folder_ + "/nothing.npz", std::string("relative.npz")}) {
    v1::Job job;
    const grpc::Status status = Compress(WithDataset(uri), &job);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("spec.dataset.uri"));
    EXPECT_THAT(status.error_message(), HasSubstr(uri));
  }
  v1::CompressRequest elsewhere = WithDataset("relative.npz");
  elsewhere.mutable_spec()->set_device("cuda:9");
  v1::Job job;
  EXPECT_EQ(Compress(elsewhere, &job).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(MustCompress(WithDataset(folder_)).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(MustCompress(WithDataset("synthetic:100")).state(), v1::JOB_STATE_QUEUED);
}

TEST_F(LocalDatasetTest, AFileThatIsNoDatasetIsRefusedAtOnce) {
  const std::string path = folder_ + "/images.npz";
  std::ofstream(path) << "<html>no such file</html>";
  for (const char* device : {"cpu", ""}) {
    v1::CompressRequest request = WithDataset(path);
    request.mutable_spec()->set_device(device);
    v1::Job job;
    const grpc::Status status = Compress(request, &job);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("spec.dataset.uri"));
    EXPECT_THAT(status.error_message(), HasSubstr(path + ": not a ZIP archive"));
  }
}

TEST_F(LocalDatasetTest, ADatasetOfAnotherMachineIsNotLookedFor) {
  v1::CompressRequest request = WithDataset("/of/another/machine.npz");
  request.mutable_spec()->set_device("cuda:9");
  EXPECT_EQ(MustCompress(request).state(), v1::JOB_STATE_QUEUED);
}

TEST_F(LocalDatasetTest, ARepeatedRequestIdAnswersWithTheFirstJobWhenItsDataHaveMoved) {
  const std::string data = folder_ + "/data";
  std::filesystem::create_directories(data + "/class");
  v1::CompressRequest request = WithDataset(data);
  request.set_request_id("once");
  const v1::Job first = MustCompress(request);
  std::filesystem::remove_all(data);
  EXPECT_EQ(MustCompress(request).id(), first.id());
  request.set_request_id("twice");
  v1::Job job;
  EXPECT_THAT(DetailsOf(Compress(request, &job)).fields(), ElementsAre("spec.dataset.uri"));
}

class HangingDatasetTest : public LocalDatasetTest {
 protected:
  void Configure(DaemonOptions* options) override {
    LocalDatasetTest::Configure(options);
    options->look_at_dataset = [this](const std::string& path) {
      disk_answers_.WaitForNotification();
      return WhatIsWrongWithDataset(path);
    };
  }

  absl::Notification disk_answers_;
  const CapturedLog log_;
};

TEST_F(HangingDatasetTest, HoldsUpFewCalls) {
  constexpr int kOthers = 6;
  std::atomic<int> ended{0};
  std::vector<std::thread> waiting;
  for (int i = 0; i < kMaxDatasetLooks + kOthers; ++i) {
    waiting.emplace_back([&] {
      MustCompress(WithDataset(folder_));
      ++ended;
    });
  }
  EXPECT_TRUE(Eventually([&] { return ended == kOthers; })) << "they wait for the disk";
  v1::ListJobsResponse listed;
  EXPECT_TRUE(jobs_->ListJobs(Context().get(), v1::ListJobsRequest(), &listed).ok());
  EXPECT_EQ(listed.jobs_size(), kOthers);
  disk_answers_.Notify();
  for (std::thread& thread : waiting) thread.join();
  v1::Job job;
  EXPECT_THAT(DetailsOf(Compress(WithDataset(folder_ + "/nothing.npz"), &job)).fields(),
              ElementsAre("spec.dataset.uri"));
  daemon_.reset();  // it logs no more
  EXPECT_THAT(log_.text(), HasSubstr(absl::StrCat("looks at ", folder_, " and ", folder_)));
}

TEST_F(LocalDatasetTest, ASecondServerWithWorkersIsRefused) {
  DaemonOptions options;
  options.grpc.listen = options.metrics_listen = "127.0.0.1:0";
  options.state_folder = folder_;
  Configure(&options);
  const absl::Status status = Daemon::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_));
}

TEST_F(LocalDatasetTest, ASecondServerWithWorkersOnTheSameDatabaseIsRefused) {
  DaemonOptions options;
  options.grpc.listen = options.metrics_listen = "127.0.0.1:0";
  options.state_folder = folder_ + "/other";
  std::filesystem::create_directory_symlink(folder_, folder_ + "/link");
  options.database_url = absl::StrCat("sqlite://", folder_, "/link/jobs.db");
  Configure(&options);
  const absl::Status status = Daemon::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another --database or --workers 0"));
  options.workers = 0;
  options.models_folder = folder_ + "/models";
  options.database_url = absl::StrCat("sqlite://", folder_, "/jobs.db");
  EXPECT_TRUE(Daemon::Start(options).ok());
}

class WatchJobTest : public JobServiceTest {
 protected:
  using Reader = std::unique_ptr<grpc::ClientReader<v1::WatchJobResponse>>;

  Reader Watch(const std::string& id, grpc::ClientContext* context) {
    v1::WatchJobRequest request;
    request.set_id(id);
    return jobs_->WatchJob(context, request);
  }
};

TEST_F(WatchJobTest, TellsOfEveryStateThatStaysAndThenEnds) {
  const v1::Job job = MustCompress();
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const Reader reader = Watch(job.id(), context.get());
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().state(), v1::JOB_STATE_QUEUED);

  const std::unique_ptr<JobStore> store = OpenStore();
  const auto leased = store->AcquireLease("w", "cpu", absl::Seconds(30));
  ASSERT_TRUE(leased.ok() && leased->has_value());
  const Lease& lease = (*leased)->lease;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().state(), v1::JOB_STATE_LEASED);

  ASSERT_TRUE(store->Start(lease).ok());
  v1::LedgerEntry line;
  line.set_stage("train");
  ASSERT_TRUE(store->AppendLedger(lease, line).ok());
  while (response.job().ledger_size() == 0) ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(response.job().ledger(0).stage(), "train");

  ASSERT_TRUE(store->Succeed(lease, "cells@1", "").ok());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WatchJobTest, TellsWhatAQueuedJobWaitsForAndWhenThatChanges) {
  const v1::Job job = MustCompress();
  EXPECT_THAT(job.waiting_reason(), HasSubstr("no worker is up"));
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const Reader reader = Watch(job.id(), context.get());
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().waiting_reason(), job.waiting_reason());
  ASSERT_TRUE(OpenStore()->Heartbeat("w", "cpu", "").ok());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().waiting_reason(), "");
  EXPECT_EQ(response.job().state(), v1::JOB_STATE_QUEUED);
  context->TryCancel();
}

TEST_F(WatchJobTest, AnEndedJobIsToldOnce) {
  const v1::Job job = MustCompress();
  v1::CancelJobRequest cancel;
  cancel.set_id(job.id());
  v1::Job cancelled;
  ASSERT_TRUE(jobs_->CancelJob(Context().get(), cancel, &cancelled).ok());
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const Reader reader = Watch(job.id(), context.get());
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.job().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WatchJobTest, AnUnknownJobIsNotFound) {
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const Reader reader = Watch("nothing", context.get());
  v1::WatchJobResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(status).info.reason(), "JOB_NOT_FOUND");
}

TEST_F(WatchJobTest, ADamagedJobEndsTheStream) {
  const v1::Job job = MustCompress();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/jobs.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, "UPDATE jobs SET spec = '{'", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const Reader reader = Watch(job.id(), context.get());
  v1::WatchJobResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_F(WatchJobTest, ManyWatchOneJobAndSomeGiveUp) {
  const v1::Job job = MustCompress();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<Reader> readers;
  for (int i = 0; i < 8; ++i) {
    contexts.push_back(Context());
    readers.push_back(Watch(job.id(), contexts.back().get()));
    v1::WatchJobResponse response;
    ASSERT_TRUE(readers.back()->Read(&response));
  }
  for (int i = 0; i < 4; ++i) {
    contexts[i]->TryCancel();
    EXPECT_EQ(readers[i]->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  v1::CancelJobRequest cancel;
  cancel.set_id(job.id());
  v1::Job cancelled;
  ASSERT_TRUE(jobs_->CancelJob(Context().get(), cancel, &cancelled).ok());
  for (int i = 4; i < 8; ++i) {
    v1::WatchJobResponse response;
    ASSERT_TRUE(readers[i]->Read(&response));
    EXPECT_EQ(response.job().state(), v1::JOB_STATE_CANCELLED);
    EXPECT_TRUE(readers[i]->Finish().ok());
  }
}

TEST_F(WatchJobTest, AServerThatStopsEndsTheStream) {
  const v1::Job job = MustCompress();
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const Reader reader = Watch(job.id(), context.get());
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  std::thread stop([this] { daemon_->Shutdown(); });
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stop.join();
}

}  // namespace
}  // namespace cytopress
