// Databases that older programs made, and what their errors become.
#include "core/jobs/sql_schema.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_replace.h"
#include "core/jobs/sql_dialect.h"
#include "tests/core/jobs/job_store_fixture.h"

namespace cytopress {
namespace {

using testing::Contains;
using testing::HasSubstr;

// What version 1 was: a copy that stays as it is, whatever becomes of core/jobs.
constexpr const char* kVersion1[] = {
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    "CREATE TABLE jobs (number $ROW_NUMBER, id TEXT NOT NULL UNIQUE, request_id TEXT UNIQUE,"
    " model_name TEXT NOT NULL, device TEXT NOT NULL, state INTEGER NOT NULL, spec TEXT NOT NULL,"
    " progress TEXT NOT NULL, error TEXT NOT NULL, worker TEXT NOT NULL, attempt INTEGER NOT NULL,"
    " max_attempts INTEGER NOT NULL, cancel_requested INTEGER NOT NULL, model TEXT NOT NULL,"
    " parent_model TEXT NOT NULL, created_us BIGINT NOT NULL, started_us BIGINT NOT NULL,"
    " finished_us BIGINT NOT NULL, lease_expires_us BIGINT NOT NULL, fence BIGINT NOT NULL,"
    " revision BIGINT NOT NULL)",
    "CREATE INDEX jobs_by_state ON jobs (state, number)",
    "CREATE INDEX jobs_by_model ON jobs (model_name, number)",
    "CREATE TABLE ledger (number $ROW_NUMBER, job_id TEXT NOT NULL REFERENCES jobs (id),"
    " entry TEXT NOT NULL)",
    "CREATE INDEX ledger_by_job ON ledger (job_id, number)",
    "CREATE TABLE workers (name TEXT PRIMARY KEY, device TEXT NOT NULL, job_id TEXT NOT NULL,"
    " last_seen_us BIGINT NOT NULL)",
    "INSERT INTO schema_version (version) VALUES (1)",
};

class SqlSchemaTest : public JobStoreTest {
 protected:
  bool is_sqlite() const { return GetParam().name == "sqlite"; }

  static void Connect(const std::string& url, soci::session* sql) {
    const absl::StatusOr<std::unique_ptr<SqlDialect>> dialect = DialectOf(url, /*create=*/true);
    ASSERT_TRUE(dialect.ok()) << dialect.status();
    (*dialect)->Connect(*sql);
  }

  // With one queued job, "job-1".
  void MakeVersion1(const std::string& url) const {
    soci::session sql;
    Connect(url, &sql);
    for (const char* statement : kVersion1) {
      sql << absl::StrReplaceAll(statement,
                                 {{"$ROW_NUMBER", is_sqlite() ? "INTEGER PRIMARY KEY AUTOINCREMENT"
                                                              : "BIGSERIAL PRIMARY KEY"}});
    }
    const int queued = v1::JOB_STATE_QUEUED;
    const std::string spec = R"({"modelName":"blood","dataset":{"uri":"synthetic"}})";
    sql << "INSERT INTO jobs (id, request_id, model_name, device, state, spec, progress, error,"
           " worker, attempt, max_attempts, cancel_requested, model, parent_model, created_us,"
           " started_us, finished_us, lease_expires_us, fence, revision)"
           " VALUES ('job-1', 'r', 'blood', '', :state, :spec, '', '', '', 0, 3, 0, '', '',"
           " 1700000000000000, 0, 0, 0, 0, 1)",
        soci::use(queued), soci::use(spec);
  }

  // Columns, with their types, and indexes.
  std::set<std::string> Structure(const std::string& url) const {
    soci::session sql;
    Connect(url, &sql);
    std::set<std::string> structure;
    const char* const queries[] = {
        is_sqlite()
            ? "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' ||"
              " c.pk FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
              " WHERE t.type = 'table'"
            : "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable"
              " FROM information_schema.columns WHERE table_schema = 'public'",
        is_sqlite() ? "SELECT COALESCE(sql, name) FROM sqlite_master WHERE type = 'index'"
                    : "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"};
    for (const char* query : queries) {
      const soci::rowset<std::string> rows = sql.prepare << query;
      for (const std::string& row : rows) structure.insert(row);
    }
    return structure;
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, SqlSchemaTest, Backends(), BackendName);

TEST_P(SqlSchemaTest, TheFirstVersionIsBroughtUpToDateWithItsJobs) {
  const std::string old = GetParam().new_database(folder_ + "/old");
  MakeVersion1(old);
  absl::StatusOr<std::unique_ptr<JobStore>> store = OpenJobStore(old, &clock_, options_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->Get("job-1")->spec().dataset().uri(), "synthetic");
  const auto leased = (*store)->AcquireLease("w1", "cpu", kLease);
  ASSERT_TRUE(leased.ok()) << leased.status();
  ASSERT_TRUE(leased->has_value());
  EXPECT_EQ((*leased)->lease.job_id, "job-1");
  EXPECT_EQ((*store)->Start((*leased)->lease), absl::OkStatus());
  EXPECT_EQ((*store)->AppendLedger((*leased)->lease, v1::LedgerEntry()), absl::OkStatus());
  EXPECT_TRUE((*store)->Submit(SomeSpec(), "").ok());
  EXPECT_EQ((*store)->NoteRegistry({"mine", "/models"})->id, "mine");
  store->reset();
  const std::set<std::string> updated = Structure(old);
  EXPECT_EQ(updated, Structure(url_)) << "a published version was edited";
  EXPECT_THAT(updated, Contains(HasSubstr("not_before_us")));
}

TEST_P(SqlSchemaTest, AWorkerChangesNoOlderDatabase) {
  const std::string old = GetParam().new_database(folder_ + "/old");
  MakeVersion1(old);
  const std::set<std::string> before = Structure(old);
  options_.create = false;
  const absl::Status status = OpenJobStore(old, &clock_, options_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("start its cytopressd first"));
  EXPECT_EQ(Structure(old), before);
}

TEST(SqlDialectTest, AFullDiskIsResourceExhaustedWithTheRemedy) {
  soci::sqlite3_soci_error full("sqlite3_statement_backend::loadOne: database or disk is full",
                                SQLITE_FULL);
  full.add_context("while executing \"COMMIT\"");
  EXPECT_EQ(MakeSqliteDialect("/s/jobs.db")->ToStatus(full),
            absl::ResourceExhaustedError(
                "job database /s/jobs.db: database or disk is full; make room there"));
}

TEST(SqlDialectTest, ADatabaseThatOthersHoldIsUnavailable) {
  for (const int code : {SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED}) {
    const soci::sqlite3_soci_error error("sqlite3_statement_backend::loadOne: database is locked",
                                         code);
    EXPECT_EQ(MakeSqliteDialect("/s/jobs.db")->ToStatus(error),
              absl::UnavailableError("job database /s/jobs.db: database is locked"))
        << code;
  }
}

TEST(SqlDialectTest, WhatPostgresRepeatsOfAStatementIsLeftOut) {
  const std::unique_ptr<SqlDialect> dialect = MakePostgresDialect("postgresql://host/jobs");
  for (const char* line : {"DETAIL:  Key (id)=(secret) already exists.",
                           "LINE 1: INSERT INTO jobs VALUES ('secret')", "CONTEXT:  secret"}) {
    const soci::soci_error error(absl::StrCat("ERROR:  it failed\n", line, "\n"));
    EXPECT_EQ(std::string(dialect->ToStatus(error).message()),
              "job database postgresql://host/jobs: ERROR: it failed");
  }
}

}  // namespace
}  // namespace cytopress
