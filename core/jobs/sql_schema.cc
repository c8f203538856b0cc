#include "core/jobs/sql_schema.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

// One list of statements a version. A published version is never edited: a change is a new one.
// Times are microseconds since 1970, 0 = never. Specifications, progress and ledger lines are the
// JSON form of their Protobuf message, so that any SQL shell can read them.
std::vector<std::vector<std::string>> Migrations(const SqlDialect& dialect) {
  return {
      {
          absl::StrCat("CREATE TABLE jobs (number ", dialect.RowNumberType(),
                       ", id TEXT NOT NULL UNIQUE"
                       ", request_id TEXT UNIQUE"  // NULL when the client gave none
                       ", model_name TEXT NOT NULL"
                       ", device TEXT NOT NULL"
                       ", state INTEGER NOT NULL"
                       ", spec TEXT NOT NULL"
                       ", progress TEXT NOT NULL"
                       ", error TEXT NOT NULL"
                       ", worker TEXT NOT NULL"
                       ", attempt INTEGER NOT NULL"
                       ", max_attempts INTEGER NOT NULL"
                       ", cancel_requested INTEGER NOT NULL"
                       ", model TEXT NOT NULL"
                       ", parent_model TEXT NOT NULL"
                       ", created_us BIGINT NOT NULL"
                       ", started_us BIGINT NOT NULL"
                       ", finished_us BIGINT NOT NULL"
                       ", lease_expires_us BIGINT NOT NULL"
                       ", fence BIGINT NOT NULL"
                       ", revision BIGINT NOT NULL)"),
          "CREATE INDEX jobs_by_state ON jobs (state, number)",
          "CREATE INDEX jobs_by_model ON jobs (model_name, number)",
          absl::StrCat("CREATE TABLE ledger (number ", dialect.RowNumberType(),
                       ", job_id TEXT NOT NULL REFERENCES jobs (id)"
                       ", entry TEXT NOT NULL)"),
          "CREATE INDEX ledger_by_job ON ledger (job_id, number)",
          "CREATE TABLE workers (name TEXT PRIMARY KEY"
          ", device TEXT NOT NULL"
          ", job_id TEXT NOT NULL"
          ", last_seen_us BIGINT NOT NULL)",
      },
      // Counting by state without reading specifications, and what is queued without what is done.
      {"CREATE INDEX jobs_by_state_and_device ON jobs (state, device, created_us)"},
      // One row, numbered 1: in which registry the jobs publish.
      {"CREATE TABLE registry (number INTEGER PRIMARY KEY, id TEXT NOT NULL, place TEXT NOT NULL)"},
      // Until when a queued job waits for its next attempt.
      {"ALTER TABLE jobs ADD COLUMN not_before_us BIGINT NOT NULL DEFAULT 0"},
  };
}

int CurrentVersion(soci::session& sql) {
  int version = 0;
  sql << "SELECT COALESCE(MAX(version), 0) FROM schema_version", soci::into(version);
  return version;
}

absl::Status WrongVersion(int current, int known) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the job database has schema version ", current, " and this program knows ",
      current > known ? "versions up to " : "version ", known, ": ",
      current > known ? "use a newer program" : "start its cytopressd first, which updates it"));
}

}  // namespace

absl::Status MigrateSchema(soci::session& sql, const SqlDialect& dialect) {
  const std::vector<std::vector<std::string>> migrations = Migrations(dialect);
  const int known = static_cast<int>(migrations.size());
  sql << "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)";
  const int current = CurrentVersion(sql);
  if (current > known) return WrongVersion(current, known);
  for (int version = current + 1; version <= known; ++version) {
    for (const std::string& statement : migrations[version - 1]) sql << statement;
    sql << "INSERT INTO schema_version (version) VALUES (:version)", soci::use(version);
  }
  // Up to here, nothing may have been written: one that must not be is noticed now and not by the
  // first job. (SQLite begins any transaction on such a database.)
  sql << "UPDATE schema_version SET version = version WHERE version < 0";
  return absl::OkStatus();
}

absl::Status CheckSchema(soci::session& sql, const SqlDialect& dialect) {
  int current = 0;
  try {
    current = CurrentVersion(sql);
  } catch (const soci::soci_error& error) {
    if (!absl::IsInternal(dialect.ToStatus(error))) throw;
    return absl::NotFoundError(
        "the job database has no tables of jobs; cytopressd makes them when it starts");
  }
  const int known = static_cast<int>(Migrations(dialect).size());
  return current == known ? absl::OkStatus() : WrongVersion(current, known);
}

}  // namespace cytopress
