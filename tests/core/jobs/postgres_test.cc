// What only a database on a server goes through.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/core/jobs/job_store_fixture.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PostgresTest, AnUnreachableServerIsUnavailableAndNamed) {
  FakeClock clock;
  const absl::Status status =
      OpenJobStore("postgresql://lab@127.0.0.1:1/jobs?application_name=secret", &clock).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("postgresql://127.0.0.1:1/jobs"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

// One that takes connections and says nothing.
TEST(PostgresTest, ASilentServerIsNotWaitedForAsLongAsAScrapeMayTake) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  FakeClock clock;
  const absl::Time begin = absl::Now();
  EXPECT_EQ(OpenJobStore(absl::StrCat("postgresql://lab@127.0.0.1:", ntohs(address.sin_port), "/j"),
                         &clock)
                .status()
                .code(),
            absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(9));
  close(listener);
}

TEST(PostgresTest, PasswordsInUrlsAreRefusedAndNotRepeated) {
  FakeClock clock;
  for (const char* url :
       {"postgresql://me:secret@host/db", "postgresq://me:secret@host/db",
        "postgresql://me:se/cret@host/db", "postgresql://host/db?user=me&password=secret",
        "postgresql:/me:secret@host/db", "host=host password=secret dbname=db"}) {
    const absl::Status status = OpenJobStore(url, &clock).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(std::string(status.message()), HasSubstr("PGPASSFILE"));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("cret")));
  }
}

TEST(PostgresTest, AnAtInAParameterIsNoPassword) {
  FakeClock clock;
  const absl::Status status =
      OpenJobStore("postgresql://127.0.0.1:1/jobs?application_name=a@b", &clock).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
}

TEST(PostgresTest, WhatMayBeAPasswordIsNotRepeated) {
  FakeClock clock;
  const absl::Status status = OpenJobStore("user=me secret@host", &clock).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

#ifdef CYTOPRESS_TEST_POSTGRES

TEST(PostgresTest, AWorkerMakesNoTables) {
  FakeClock clock;
  JobStoreOptions options;
  options.create = false;
  const std::string url = PostgresServer::Shared().CreateDatabase();
  EXPECT_EQ(OpenJobStore(url, &clock, options).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(OpenJobStore(url, &clock).ok());
  EXPECT_EQ(OpenJobStore(url, &clock, options).status(), absl::OkStatus());
}

TEST(PostgresTest, AStoreOutlivesItsServersRestart) {
  FakeClock clock;
  PostgresServer& server = PostgresServer::Shared();
  const std::unique_ptr<JobStore> store = *OpenJobStore(server.CreateDatabase(), &clock);
  const std::string id = store->Submit(SomeSpec(), "")->id();
  server.Stop();
  EXPECT_EQ(store->Get(id).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store->Cancel(id).status().code(), absl::StatusCode::kUnavailable);
  server.Start();
  // Each connection of the pool, of which several are used at once.
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] { EXPECT_EQ(store->Get(id)->state(), v1::JOB_STATE_QUEUED); });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(store->Cancel(id)->state(), v1::JOB_STATE_CANCELLED);
}

// As two workers on two machines.
TEST(PostgresTest, ManyWorkersTakeEachJobOnce) {
  constexpr int kJobs = 40, kWorkers = 4;
  FakeClock clock;
  const std::string url = PostgresServer::Shared().CreateDatabase();
  const std::unique_ptr<JobStore> store = *OpenJobStore(url, &clock);
  for (int i = 0; i < kJobs; ++i) ASSERT_TRUE(store->Submit(SomeSpec(), "").ok());
  std::vector<std::vector<std::string>> taken(kWorkers);
  std::vector<std::thread> workers;
  for (int w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&, w] {
      const std::unique_ptr<JobStore> own = *OpenJobStore(url, &clock);
      for (;;) {
        const auto leased = own->AcquireLease(absl::StrCat("w", w), "cpu", kLease);
        ASSERT_TRUE(leased.ok()) << leased.status();
        if (!leased->has_value()) return;
        taken[w].push_back((**leased).lease.job_id);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  std::vector<std::string> all;
  for (const auto& own : taken) all.insert(all.end(), own.begin(), own.end());
  EXPECT_EQ(all.size(), kJobs);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
}

#endif  // CYTOPRESS_TEST_POSTGRES

}  // namespace
}  // namespace cytopress
