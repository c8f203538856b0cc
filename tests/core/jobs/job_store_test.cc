// What clients and monitoring see.
#include "core/jobs/job_store.h"

#include <set>

#include "absl/strings/match.h"
#include "core/base/file.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/job_state.h"
#include "core/jobs/lease_times.h"
#include "core/jobs/registry_binding.h"
#include "tests/core/jobs/job_store_fixture.h"

namespace cytopress {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ClientTest : public JobStoreTest {};
INSTANTIATE_TEST_SUITE_P(Backends, ClientTest, Backends(), BackendName);

std::vector<std::string> Ids(const ListJobsPage& page) {
  std::vector<std::string> ids;
  for (const v1::Job& job : page.jobs) ids.push_back(job.id());
  return ids;
}

TEST_P(ClientTest, SubmittedJobIsQueuedWithItsDefaultsFilledIn) {
  const absl::StatusOr<v1::Job> submitted = store_->Submit(SomeSpec(), "request-1");
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  const v1::Job job = Get(submitted->id());
  EXPECT_EQ(job.SerializeAsString(), submitted->SerializeAsString());
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.request_id(), "request-1");
  EXPECT_EQ(job.attempt(), 0);
  EXPECT_EQ(job.max_attempts(), 3);
  EXPECT_EQ(job.created().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_FALSE(job.has_started());
  EXPECT_EQ(job.spec().SerializeAsString(), WithDefaults(SomeSpec()).SerializeAsString());
}

TEST_P(ClientTest, AZeroThatWasAskedForIsNotForgotten) {
  v1::JobSpec spec = SomeSpec();
  spec.mutable_recipe()->mutable_train()->set_label_smoothing(0);
  const absl::StatusOr<v1::Job> submitted = store_->Submit(spec, "request-1");
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  const v1::TrainOptions train = Get(submitted->id()).spec().recipe().train();
  EXPECT_TRUE(train.has_label_smoothing());
  EXPECT_EQ(train.label_smoothing(), 0);
  EXPECT_EQ(store_->Submit(spec, "request-1")->id(), submitted->id());
}

TEST_P(ClientTest, IdsSortByTimeAndDiffer) {
  const std::string first = Submit();
  const std::string twin = Submit();
  clock_.Advance(absl::Seconds(1));
  const std::string later = Submit();
  EXPECT_NE(first, twin);
  EXPECT_LT(first, later);
  EXPECT_LT(twin, later);
  EXPECT_TRUE(absl::StartsWith(first, "job-20231114-221320-")) << first;
}

TEST_P(ClientTest, UnknownJobIsNotFound) {
  EXPECT_EQ(store_->Get("job-1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Cancel("job-1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Revision("job-1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(store_->Get("' OR 1=1 --").status().message(), HasSubstr("OR 1=1"));
}

TEST_P(ClientTest, TextSurvivesAsItIs) {
  v1::JobSpec spec = SomeSpec();
  spec.mutable_dataset()->set_uri("/data/it's \"blood\": 100% \xC3\xA9.npz");
  spec.mutable_dataset()->set_seed(18446744073709551615u);
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.1 + 0.2);
  EXPECT_EQ(Get(Submit(spec)).spec().SerializeAsString(), WithDefaults(spec).SerializeAsString());
}

TEST_P(ClientTest, SameRequestAnswersWithTheSameJob) {
  const absl::StatusOr<v1::Job> first = store_->Submit(SomeSpec(), "r");
  ASSERT_TRUE(first.ok());
  // Spelling a default out is the same request.
  const absl::StatusOr<v1::Job> again = store_->Submit(WithDefaults(SomeSpec()), "r");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id(), first->id());
  EXPECT_EQ(store_->Stats()->depth, 1);
}

TEST_P(ClientTest, SameRequestOfANewerClientAnswersWithTheSameJob) {
  v1::JobSpec spec = SomeSpec();
  spec.GetReflection()->MutableUnknownFields(&spec)->AddVarint(2000, 1);
  const absl::StatusOr<v1::Job> first = store_->Submit(spec, "r");
  ASSERT_TRUE(first.ok());
  const absl::StatusOr<v1::Job> again = store_->Submit(spec, "r");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id(), first->id());
}

TEST_P(ClientTest, SameRequestWithAnotherSpecConflicts) {
  const absl::StatusOr<v1::Job> first = store_->Submit(SomeSpec(), "r");
  ASSERT_TRUE(first.ok());
  const absl::Status conflict = store_->Submit(SomeSpec("other"), "r").status();
  EXPECT_EQ(conflict.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(conflict.message(), HasSubstr(first->id()));
  EXPECT_EQ(store_->Stats()->depth, 1);
}

TEST_P(ClientTest, ReplayOfAnEndedJobAnswersWithIt) {
  const absl::StatusOr<v1::Job> first = store_->Submit(SomeSpec(), "r");
  ASSERT_TRUE(first.ok());
  ASSERT_EQ(store_->Succeed(AcquireAndStart(), "blood@1", ""), absl::OkStatus());
  const absl::StatusOr<v1::Job> again = store_->Submit(SomeSpec(), "r");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(again->model(), "blood@1");
}

TEST_P(ClientTest, ListIsNewestFirstInPages) {
  std::vector<std::string> newest_first;
  for (int i = 0; i < 5; ++i) newest_first.insert(newest_first.begin(), Submit());
  ListJobsQuery query;
  query.page_size = 2;
  std::vector<std::string> seen;
  int pages = 0;
  do {
    const absl::StatusOr<ListJobsPage> page = store_->List(query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const std::string& id : Ids(*page)) seen.push_back(id);
    query.page_token = page->next_page_token;
    if (++pages == 1) Submit();  // a newer job does not shift the pages that follow
  } while (!query.page_token.empty());
  EXPECT_EQ(seen, newest_first);
  EXPECT_EQ(pages, 3);
}

TEST_P(ClientTest, ListEndsAPageThatGrowsTooLarge) {
  std::vector<std::string> newest_first;
  for (int i = 0; i < 5; ++i) newest_first.insert(newest_first.begin(), Submit());
  const int64_t job_bytes = static_cast<int64_t>(store_->Get(newest_first[0])->ByteSizeLong());
  for (const auto& [bytes, most] : {std::pair{job_bytes * 5 / 2, 2}, {int64_t{1}, 1}}) {
    ListJobsQuery query;
    query.max_page_bytes = bytes;
    std::vector<std::string> seen;
    do {
      const absl::StatusOr<ListJobsPage> page = store_->List(query);
      ASSERT_TRUE(page.ok()) << page.status();
      EXPECT_EQ(static_cast<int>(page->jobs.size()), page->next_page_token.empty() ? 1 : most);
      for (const std::string& id : Ids(*page)) seen.push_back(id);
      query.page_token = page->next_page_token;
    } while (!query.page_token.empty());
    EXPECT_EQ(seen, newest_first);
  }
}

TEST_P(ClientTest, FullLastPageHasNoNextPage) {
  Submit();
  Submit();
  ListJobsQuery query;
  query.page_size = 2;
  EXPECT_EQ(store_->List(query)->next_page_token, "");
}

TEST_P(ClientTest, ListFiltersByStateAndModel) {
  const std::string running = Submit(SomeSpec("a"));
  AcquireAndStart();
  const std::string queued_a = Submit(SomeSpec("a"));
  const std::string queued_b = Submit(SomeSpec("b"));
  ListJobsQuery query;
  query.states = {v1::JOB_STATE_QUEUED};
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre(queued_b, queued_a));
  query.model_name = "a";
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre(queued_a));
  query.states = {v1::JOB_STATE_QUEUED, v1::JOB_STATE_RUNNING};
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre(queued_a, running));
  query.model_name = "nothing";
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre());
}

TEST_P(ClientTest, ListFindsTheJobOfARequest) {
  Submit();
  const absl::StatusOr<v1::Job> asked = store_->Submit(SomeSpec("a"), "r");
  ASSERT_TRUE(asked.ok()) << asked.status();
  ListJobsQuery query;
  query.page_size = 1;
  query.request_id = "r";
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre(asked->id()));
  query.model_name = "a";
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre(asked->id()));
  query.model_name = "b";
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre());
  query = ListJobsQuery();
  query.request_id = "nothing";
  EXPECT_THAT(Ids(*store_->List(query)), ElementsAre());
}

TEST_P(ClientTest, BadPageTokensAreRefused) {
  Submit();
  Submit();
  ListJobsQuery query;
  query.page_size = 1;
  const std::string token = store_->List(query)->next_page_token;
  ASSERT_NE(token, "");
  for (const std::string& bad : {std::string("nonsense"), token + "A", std::string("djE6MDp4")}) {
    query.page_token = bad;
    EXPECT_EQ(store_->List(query).status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(store_->List(query).status().message(), HasSubstr("\"" + bad + "\" is not one"));
  }
  query.page_token = token;
  query.model_name = "blood";
  EXPECT_THAT(store_->List(query).status().message(), HasSubstr("another filter"));
}

TEST_P(ClientTest, CancelInEveryState) {
  const std::string queued = Submit();
  EXPECT_EQ(store_->Cancel(queued)->state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(Get(queued).has_finished());
  EXPECT_EQ(store_->Cancel(queued)->state(), v1::JOB_STATE_CANCELLED);  // again is fine

  const std::string held = Submit();
  const Lease lease = Acquire();
  EXPECT_EQ(store_->Cancel(held)->state(), v1::JOB_STATE_LEASED);
  EXPECT_TRUE(Get(held).cancel_requested());
  ASSERT_EQ(store_->Start(lease), absl::OkStatus());
  EXPECT_EQ(store_->Cancel(held)->state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(*store_->RenewLease(lease, kLease), true);
  EXPECT_EQ(store_->AcknowledgeCancel(lease), absl::OkStatus());
  EXPECT_EQ(StateOf(held), v1::JOB_STATE_CANCELLED);

  const std::string succeeded = Submit();
  ASSERT_EQ(store_->Succeed(AcquireAndStart(), "blood@1", ""), absl::OkStatus());
  const absl::Status late = store_->Cancel(succeeded).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(late.message(), HasSubstr(" has succeeded already and cannot become cancelled"));

  const std::string failed = Submit();
  ASSERT_EQ(store_->Fail(AcquireAndStart(), "broken", false), absl::OkStatus());
  EXPECT_EQ(store_->Cancel(failed).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ClientTest, RevisionGrowsWithWhatWatchersSee) {
  const std::string id = Submit();
  int64_t last = *store_->Revision(id);
  const auto grows = [&] {
    const int64_t now = *store_->Revision(id);
    const bool grown = now > last;
    last = now;
    return grown;
  };
  const Lease lease = Acquire();
  EXPECT_TRUE(grows());
  ASSERT_EQ(store_->Start(lease), absl::OkStatus());
  EXPECT_TRUE(grows());
  ASSERT_EQ(store_->ReportProgress(lease, v1::Progress()), absl::OkStatus());
  EXPECT_TRUE(grows());
  ASSERT_EQ(store_->AppendLedger(lease, v1::LedgerEntry()), absl::OkStatus());
  EXPECT_TRUE(grows());
  ASSERT_TRUE(store_->RenewLease(lease, kLease).ok());
  EXPECT_FALSE(grows());
  ASSERT_TRUE(store_->Cancel(id).ok());
  EXPECT_TRUE(grows());
}

TEST_P(ClientTest, StatsCountEveryStateAndTheOldestQueuedJob) {
  QueueStats stats = *store_->Stats();
  EXPECT_EQ(stats.jobs_by_state.size(), AllJobStates().size());
  EXPECT_EQ(stats.oldest_age, absl::ZeroDuration());
  Submit();
  Acquire();
  clock_.Advance(absl::Seconds(60));
  Submit();
  clock_.Advance(absl::Seconds(5));
  v1::JobSpec gpu = SomeSpec();
  gpu.set_device("cuda:0");
  Submit(gpu);
  stats = *store_->Stats();
  EXPECT_EQ(stats.depth, 2);
  EXPECT_EQ(*store_->QueuedFor("cuda:0"), 2);
  EXPECT_EQ(*store_->QueuedFor("cpu"), 1);
  EXPECT_EQ(stats.jobs_by_state[v1::JOB_STATE_QUEUED], 2);
  EXPECT_EQ(stats.jobs_by_state[v1::JOB_STATE_LEASED], 1);
  EXPECT_EQ(stats.jobs_by_state[v1::JOB_STATE_FAILED], 0);
  EXPECT_EQ(stats.oldest_age, absl::Seconds(5));
}

TEST_P(ClientTest, LedgerSinceContinuesFromItsLastNumber) {
  Submit();
  const Lease lease = AcquireAndStart();
  for (const char* stage : {"load", "train", "prune"}) {
    v1::LedgerEntry entry;
    entry.set_stage(stage);
    ASSERT_EQ(store_->AppendLedger(lease, entry), absl::OkStatus());
  }
  const auto all = *store_->LedgerSince(0);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_LT(all[0].first, all[1].first);
  const auto rest = *store_->LedgerSince(all[0].first);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].second.stage(), "train");
  EXPECT_EQ(rest[1].second.stage(), "prune");
  EXPECT_TRUE(store_->LedgerSince(all[2].first)->empty());
}

TEST_P(ClientTest, TheLastLedgerLineIsThatOfAllJobs) {
  EXPECT_EQ(*store_->LastLedgerLine(), 0);
  for (int i = 0; i < 2; ++i) {
    Submit();
    const Lease lease = AcquireAndStart();
    ASSERT_EQ(store_->AppendLedger(lease, v1::LedgerEntry()), absl::OkStatus());
    EXPECT_EQ(*store_->LastLedgerLine(), store_->LedgerSince(0)->back().first);
  }
}

TEST_P(ClientTest, LedgerComesInBoundedPieces) {
  Submit();
  const Lease lease = AcquireAndStart();
  for (int i = 0; i < 1001; ++i) {
    v1::LedgerEntry line;
    line.set_seconds(i);
    ASSERT_EQ(store_->AppendLedger(lease, line), absl::OkStatus());
  }
  const auto first = *store_->LedgerSince(0);
  ASSERT_EQ(first.size(), 1000u);
  EXPECT_EQ(store_->LedgerSince(first.back().first)->size(), 1u);
}

TEST_P(ClientTest, TheFirstRegistryThatIsNotedStays) {
  EXPECT_EQ(store_->NoteRegistry({})->id, "");
  EXPECT_EQ(store_->NoteRegistry({"first", "/models on a"})->place, "/models on a");
  EXPECT_EQ(Open()->NoteRegistry({"second", "/models on b"})->id, "first");
  EXPECT_EQ(store_->NoteRegistry({})->place, "/models on a");
}

TEST_P(ClientTest, ServersAndWorkersOfADatabaseHaveOneRegistry) {
  ModelRegistry models = *ModelRegistry::Open(folder_ + "/models");
  ModelRegistry others = *ModelRegistry::Open(folder_ + "/others");
  EXPECT_EQ(BindRegistry(&models, store_.get()), absl::OkStatus());
  const std::unique_ptr<JobStore> second = Open();
  EXPECT_EQ(BindRegistry(&models, second.get()), absl::OkStatus());
  const absl::Status refused = BindRegistry(&others, second.get());
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  for (const std::string& part :
       {others.root(), models.root(), std::string("--models"), *models.Identity(),
        others.IdentityPath(), std::string("not mounted, mount it; else give")}) {
    EXPECT_THAT(refused.message(), HasSubstr(part));
  }
  ModelRegistry mounted = *ModelRegistry::Open(folder_ + "/mounted");
  ASSERT_TRUE(mounted.MakeIdentity().ok());
  EXPECT_THAT(BindRegistry(&mounted, second.get()).message(),
              AllOf(HasSubstr("--models"), Not(HasSubstr("mount it"))));
  // As the message says.
  ASSERT_EQ(WriteFileAtomically(others.IdentityPath(), *models.Identity()), absl::OkStatus());
  EXPECT_EQ(BindRegistry(&others, second.get()), absl::OkStatus());
}

TEST_P(ClientTest, AQueuedJobSaysWhatItWaitsFor) {
  v1::JobSpec for_gpu = SomeSpec();
  for_gpu.set_device("cuda:0");
  const absl::StatusOr<v1::Job> job = store_->Submit(for_gpu, "");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_THAT(job->waiting_reason(), HasSubstr("no worker is up"));
  EXPECT_THAT(job->waiting_reason(), HasSubstr("logs/worker-*.log"));
  ASSERT_EQ(store_->Heartbeat("w1", "cpu", ""), absl::OkStatus());
  EXPECT_THAT(Get(job->id()).waiting_reason(),
              HasSubstr("no worker for cuda:0 is up, only for cpu;"));
  ASSERT_EQ(store_->Heartbeat("w2", "cuda:0", ""), absl::OkStatus());
  EXPECT_EQ(Get(job->id()).waiting_reason(), "");
  ASSERT_EQ(store_->Heartbeat("w2", "cuda:0", "job-7"), absl::OkStatus());
  EXPECT_EQ(store_->List({})->jobs[0].waiting_reason(),
            "all workers that fit are busy: w2 (job-7)");
  // Any worker will do for this one.
  EXPECT_EQ(store_->Submit(SomeSpec(), "")->waiting_reason(), "");
  clock_.Advance(LeaseTimes().worker_is_up_for() + absl::Seconds(1));
  EXPECT_THAT(Get(job->id()).waiting_reason(), HasSubstr("no worker is up"));
}

TEST_P(ClientTest, OnlyAQueuedJobWaits) {
  ASSERT_EQ(store_->Heartbeat("w1", "cpu", ""), absl::OkStatus());
  const std::string id = Submit();
  const Lease lease = AcquireAndStart();
  clock_.Advance(LeaseTimes().worker_is_up_for() + absl::Seconds(1));
  EXPECT_EQ(Get(id).waiting_reason(), "") << "it runs";
  ASSERT_EQ(store_->Heartbeat("w1", "cpu", ""), absl::OkStatus());
  ASSERT_EQ(store_->Fail(lease, "the disk is full", true), absl::OkStatus());
  EXPECT_THAT(Get(id).waiting_reason(), HasSubstr("pauses"));
  EXPECT_EQ(store_->Cancel(id)->waiting_reason(), "");
}

TEST_P(ClientTest, HeartbeatsReplaceEachOtherAndAreForgottenAfterADay) {
  ASSERT_EQ(store_->Heartbeat("w1", "cpu", ""), absl::OkStatus());
  ASSERT_EQ(store_->Heartbeat("w2", "cuda:0", ""), absl::OkStatus());
  clock_.Advance(absl::Hours(20));
  ASSERT_EQ(store_->Heartbeat("w1", "cpu", "job-7"), absl::OkStatus());
  std::vector<WorkerInfo> workers = *store_->ListWorkers();
  ASSERT_EQ(workers.size(), 2u);
  EXPECT_EQ(workers[0].job_id, "job-7");
  EXPECT_EQ(workers[0].last_seen, clock_.Now());
  EXPECT_EQ(workers[1].device, "cuda:0");
  clock_.Advance(absl::Hours(5));
  ASSERT_TRUE(store_->ReapExpired().ok());
  workers = *store_->ListWorkers();
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_EQ(workers[0].name, "w1");
}

}  // namespace
}  // namespace cytopress
