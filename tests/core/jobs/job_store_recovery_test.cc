// Stores that are opened again, beside each other, at the wrong place, or by the wrong version.
#include <sqlite3.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "tests/as_nobody.h"
#include "tests/core/jobs/job_store_fixture.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RecoveryTest : public JobStoreTest {};
INSTANTIATE_TEST_SUITE_P(Backends, RecoveryTest, Backends(), BackendName);

TEST_P(RecoveryTest, ReopenedStoreHasEverything) {
  const std::string queued = Submit();
  const std::string running = Submit();
  ASSERT_TRUE(store_->Cancel(queued).ok());
  const Lease lease = AcquireAndStart();
  ASSERT_EQ(store_->AppendLedger(lease, v1::LedgerEntry()), absl::OkStatus());
  const std::string before = Get(running).SerializeAsString();
  store_.reset();
  store_ = Open();
  EXPECT_EQ(Get(running).SerializeAsString(), before);
  EXPECT_EQ(StateOf(queued), v1::JOB_STATE_CANCELLED);
  // The worker outlived the service: its lease still counts.
  EXPECT_EQ(store_->Succeed(lease, "blood@1", ""), absl::OkStatus());
}

TEST_P(RecoveryTest, AbandonedStoreLeavesNothingLocked) {
  const std::string id = Submit();
  AcquireAndStart();
  store_.release();  // as a killed process: nothing is closed  NOLINT
  store_ = Open();
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_RUNNING);
  EXPECT_THAT(*store_->ReapWorker("w1"), ElementsAre(id));
}

TEST_P(RecoveryTest, TwoStoresSeeEachOthersChangesAtOnce) {
  std::unique_ptr<JobStore> worker_side = Open();
  const std::string id = Submit();
  const absl::StatusOr<std::optional<LeasedJob>> leased =
      worker_side->AcquireLease("w1", "cpu", kLease);
  ASSERT_TRUE(leased.ok() && leased->has_value());
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_LEASED);
  ASSERT_TRUE(store_->Cancel(id).ok());
  EXPECT_EQ(*worker_side->RenewLease((**leased).lease, kLease), true);
}

TEST_P(RecoveryTest, ManyProcessesMayCreateTheDatabaseAtOnce) {
  const std::string url = GetParam().new_database(folder_ + "/fresh");
  std::vector<absl::Status> results(6);
  std::vector<std::thread> threads;
  for (absl::Status& result : results) {
    threads.emplace_back([&] { result = OpenJobStore(url, &clock_).status(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(results, testing::Each(absl::OkStatus()));
}

TEST(OpenJobStore, RefusesUrlsItDoesNotKnow) {
  FakeClock clock;
  for (const char* url :
       {"", "jobs.db", "sqlite://relative.db", "mysql://host/db", "sqlite:///a\"b.db"}) {
    const absl::Status status = OpenJobStore(url, &clock).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(status.message(), HasSubstr(url));
  }
  JobStoreOptions options;
  options.create = false;
  EXPECT_FALSE(absl::IsNotFound(
      OpenJobStore("sqlite:///" + std::string(300, 'x') + "/jobs.db", &clock, options).status()))
      << "whether it is there cannot be found out";
  options.max_attempts = 0;
  EXPECT_EQ(OpenJobStore("sqlite:///tmp/x.db", &clock, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(DatabaseFile, IsThePathOfAUrlOfAFile) {
  EXPECT_EQ(DatabaseFile("sqlite:///folder/jobs.db"), "/folder/jobs.db");
  EXPECT_FALSE(DatabaseFile("sqlite://relative.db").has_value());
  EXPECT_FALSE(DatabaseFile("postgresql://host/jobs").has_value());
}

class SqliteFileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }

  absl::StatusOr<std::unique_ptr<JobStore>> Open() {
    return OpenJobStore("sqlite://" + path_, &clock_);
  }

  void Execute(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  FakeClock clock_;
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.PathOf("sqlite file");
  const std::string path_ = folder_ + "/jobs.db";
};

TEST_F(SqliteFileTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(path_) << std::string(4096, 'x');
  const absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(status.message(), HasSubstr(path_));
}

TEST_F(SqliteFileTest, UnreachableDatabaseIsUnavailable) {
  std::filesystem::create_directories(path_);  // a folder where the file should be
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(SqliteFileTest, OneThatMustNotBeWrittenIsRefusedAtOnceWithTheRemedy) {
  namespace fs = std::filesystem;
  ASSERT_TRUE(Open().ok());
  fs::permissions(folder_, fs::perms::all);
  fs::permissions(path_, fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  absl::Status status;
  AsNobody(temporary_.path(), [&] { status = Open().status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(status.message(), HasSubstr(path_));
  EXPECT_THAT(status.message(), HasSubstr("readonly database; give the file and its folder to"));
}

TEST_F(SqliteFileTest, ErrorsSayNothingOfTheStatementAndItsValues) {
  absl::StatusOr<std::unique_ptr<JobStore>> store = Open();
  ASSERT_TRUE(store.ok());
  Execute("CREATE TRIGGER no BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'no more'); END");
  EXPECT_EQ((*store)->Submit(SomeSpec("secret"), "").status(),
            absl::InternalError(absl::StrCat("job database ", path_, ": no more")));
}

TEST_F(SqliteFileTest, RefusesTheSchemaOfANewerProgram) {
  ASSERT_TRUE(Open().ok());
  Execute("INSERT INTO schema_version (version) VALUES (1000)");
  const absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("1000"));
}

TEST_F(SqliteFileTest, FieldsOfANewerProgramAreIgnored) {
  absl::StatusOr<std::unique_ptr<JobStore>> store = Open();
  ASSERT_TRUE(store.ok());
  const std::string id = (*store)->Submit(SomeSpec(), "")->id();
  Execute("UPDATE jobs SET spec = '{\"model_name\":\"m\",\"invented_later\":1}'");
  EXPECT_EQ((*store)->Get(id)->spec().model_name(), "m");
  Execute("UPDATE jobs SET spec = '{'");
  EXPECT_EQ((*store)->Get(id).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteFileTest, ADamagedJobFailsAndTheNextIsLeased) {
  absl::StatusOr<std::unique_ptr<JobStore>> store = Open();
  ASSERT_TRUE(store.ok());
  const std::string damaged = (*store)->Submit(SomeSpec(), "")->id();
  const std::string bad_ledger = (*store)->Submit(SomeSpec(), "")->id();
  const std::string good = (*store)->Submit(SomeSpec(), "")->id();
  Execute("UPDATE jobs SET spec = '{' WHERE number = 1");
  Execute("INSERT INTO ledger (job_id, entry) SELECT id, '{' FROM jobs WHERE number = 2");
  const auto leased = (*store)->AcquireLease("w1", "cpu", kLease);
  ASSERT_TRUE(leased.ok()) << leased.status();
  ASSERT_TRUE(leased->has_value());
  EXPECT_EQ((*leased)->lease.job_id, good);
  EXPECT_EQ((*store)->Get(damaged).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((*store)->Stats()->jobs_by_state.at(v1::JOB_STATE_FAILED), 2);
  EXPECT_EQ((*store)->Stats()->depth, 0);
  Execute("DELETE FROM ledger");
  EXPECT_EQ((*store)->Get(bad_ledger)->state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT((*store)->Get(bad_ledger)->error(), HasSubstr("unreadable cytopress.v1.LedgerEntry"));
  EXPECT_TRUE((*store)->Get(bad_ledger)->has_finished());
}

TEST_F(SqliteFileTest, ADamagedJobDoesNotKeepOthersFromBeingReaped) {
  absl::StatusOr<std::unique_ptr<JobStore>> store = Open();
  ASSERT_TRUE(store.ok());
  std::vector<std::string> ids;
  std::vector<Lease> leases;
  for (int i = 0; i < 2; ++i) {
    ids.push_back((*store)->Submit(SomeSpec(), "")->id());
    leases.push_back((**(*store)->AcquireLease("w1", "cpu", kLease)).lease);
  }
  Execute("UPDATE jobs SET progress = '{' WHERE number = 1");
  EXPECT_THAT(*(*store)->ReapWorker("w1"), ElementsAre(ids[0], ids[1]));
  EXPECT_EQ((*store)->Get(ids[1])->state(), v1::JOB_STATE_QUEUED);
  Execute("UPDATE jobs SET progress = ''");
  EXPECT_EQ((*store)->Get(ids[0])->state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ((*store)->Start(leases[0]).code(), absl::StatusCode::kAborted);
}

TEST_F(SqliteFileTest, ListsAndLedgersLeaveOutWhatIsDamaged) {
  absl::StatusOr<std::unique_ptr<JobStore>> store = Open();
  ASSERT_TRUE(store.ok());
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back((*store)->Submit(SomeSpec(), "")->id());
  Execute("UPDATE jobs SET spec = '{' WHERE number IN (2, 4)");
  ListJobsQuery query;
  query.page_size = 2;
  std::vector<std::string> listed;
  do {
    const absl::StatusOr<ListJobsPage> page = (*store)->List(query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Job& job : page->jobs) listed.push_back(job.id());
    query.page_token = page->next_page_token;
  } while (!query.page_token.empty());
  EXPECT_THAT(listed, ElementsAre(ids[4], ids[2], ids[0]));

  Execute("INSERT INTO ledger (job_id, entry) SELECT id, '{' FROM jobs");
  Execute("INSERT INTO ledger (job_id, entry) SELECT id, '{\"stage\":\"train\"}' FROM jobs");
  const auto lines = (*store)->LedgerSince(0);
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_EQ(lines->size(), 5u);
  EXPECT_EQ(lines->front().first, 6);
  Execute("INSERT INTO ledger (job_id, entry) SELECT id, '{' FROM jobs");
  EXPECT_EQ(*(*store)->LastLedgerLine(), 15);
}

// A process that writes as fast as it can and prints the id of every job acknowledged.
[[noreturn]] void SubmitForever(const std::string& url, int out) {
  absl::StatusOr<std::unique_ptr<JobStore>> store = OpenJobStore(url, RealClock());
  while (store.ok()) {
    const absl::StatusOr<v1::Job> job = (*store)->Submit(SomeSpec(), "");
    const std::string line = job->id() + "\n";
    if (write(out, line.data(), line.size()) < 0) break;
  }
  _exit(1);
}

TEST_F(SqliteFileTest, KilledAtAnyMomentNoAcknowledgedJobIsLost) {
  const std::string url = "sqlite://" + path_;
  std::string acknowledged;
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) SubmitForever(url, pipe_ends[1]);
    close(pipe_ends[1]);
    const size_t enough = acknowledged.size() + 300;
    char buffer[256];
    ssize_t got = 1;
    while (acknowledged.size() < enough && got > 0) {
      got = read(pipe_ends[0], buffer, sizeof(buffer));
      if (got > 0) acknowledged.append(buffer, got);
    }
    kill(child, SIGKILL);
    while ((got = read(pipe_ends[0], buffer, sizeof(buffer))) > 0) acknowledged.append(buffer, got);
    close(pipe_ends[0]);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }
  absl::StatusOr<std::unique_ptr<JobStore>> store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  int count = 0;
  for (size_t begin = 0; begin < acknowledged.size();) {
    const size_t end = acknowledged.find('\n', begin);
    const std::string id = acknowledged.substr(begin, end - begin);
    EXPECT_TRUE((*store)->Get(id).ok()) << id;
    begin = end + 1;
    ++count;
  }
  EXPECT_GE(count, 25);
}

}  // namespace
}  // namespace cytopress
