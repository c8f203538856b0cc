// Opening, transactions, and what clients ask. What workers ask is in sql_job_store_lease.cc, what
// is asked about them in sql_job_store_workers.cc.
#include "core/jobs/sql_job_store.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/job_state.h"
#include "core/jobs/sql_schema.h"
#include "core/jobs/waiting_reason.h"

namespace cytopress {
namespace {

constexpr size_t kConnections = 4;
constexpr char kTokenVersion[] = "v1";

// Sorts by the second of submission; its 64 random bits keep a job from being guessed.
std::string NewJobId(absl::Time now) {
  std::random_device random;
  return absl::StrCat("job-", absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone()), "-",
                      absl::StrFormat("%08x%08x", random(), random()));
}

// Ties a page token to the filter it was made for.
std::string FilterFingerprint(const ListJobsQuery& query) {
  const std::string states = absl::StrJoin(query.states, ",", [](std::string* out, v1::JobState s) {
    absl::StrAppend(out, static_cast<int>(s));
  });
  return Sha256Hex(absl::StrCat(states, "/", query.model_name)).substr(0, 16);
}

std::string PageToken(const ListJobsQuery& query, int64_t last_number) {
  return absl::WebSafeBase64Escape(
      absl::StrCat(kTokenVersion, ":", last_number, ":", FilterFingerprint(query)));
}

// The number of the last job of the page before; 0 for the first page.
absl::StatusOr<int64_t> ParsePageToken(const ListJobsQuery& query) {
  if (query.page_token.empty()) return 0;
  std::string text;
  int64_t number = 0;
  if (absl::WebSafeBase64Unescape(query.page_token, &text)) {
    const std::vector<std::string> parts = absl::StrSplit(text, ':');
    if (parts.size() == 3 && parts[0] == kTokenVersion && absl::SimpleAtoi(parts[1], &number) &&
        number > 0) {
      if (parts[2] == FilterFingerprint(query)) return number;
      return absl::InvalidArgumentError(
          "was made for another filter; repeat the filter of the first page");
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", query.page_token, "\" is not one that a list has returned"));
}

// The numbers and ids of one page and, to know whether there is another, of one job more.
std::vector<std::pair<int64_t, std::string>> ListIds(soci::session& sql, const ListJobsQuery& query,
                                                     int64_t before) {
  // A condition that is not asked for is left out, so that the others find their index.
  std::string text = "SELECT number, id FROM jobs WHERE number > 0";
  if (!query.model_name.empty()) text += " AND model_name = :model_name";
  if (!query.request_id.empty()) text += " AND request_id = :request_id";
  if (!query.states.empty()) {
    absl::StrAppend(&text, " AND state IN (",
                    absl::StrJoin(query.states, ", ",
                                  [](std::string* out, v1::JobState state) {
                                    absl::StrAppend(out, static_cast<int>(state));
                                  }),
                    ")");
  }
  if (before > 0) absl::StrAppend(&text, " AND number < ", before);
  absl::StrAppend(&text, " ORDER BY number DESC LIMIT ", query.page_size + 1);
  std::vector<std::pair<int64_t, std::string>> ids;
  int64_t number = 0;
  std::string id;
  soci::statement rows = (sql.prepare << text, soci::into(number), soci::into(id));
  if (!query.model_name.empty()) rows.exchange(soci::use(query.model_name));
  if (!query.request_id.empty()) rows.exchange(soci::use(query.request_id));
  rows.define_and_bind();
  rows.execute();
  while (rows.fetch()) ids.emplace_back(number, id);
  return ids;
}

// As clients see it: with what it waits for and its ledger.
absl::StatusOr<v1::Job> Complete(soci::session& sql, JobRow row,
                                 const std::vector<WorkerInfo>& workers, absl::Time now) {
  v1::Job& job = row.job;
  job.set_waiting_reason(WaitingReason(job, absl::FromUnixMicros(row.not_before_us), workers, now));
  CYTOPRESS_RETURN_IF_ERROR(LoadLedger(sql, &job));
  return std::move(job);
}

// Whether the database still answers on `sql`, which is then in no transaction.
bool Answers(soci::session& sql) {
  try {
    sql << "ROLLBACK";
    return true;
  } catch (const soci::soci_error&) {
    return false;
  }
}

}  // namespace

SqlJobStore::SqlJobStore(std::unique_ptr<SqlDialect> dialect, Clock* clock,
                         const JobStoreOptions& options)
    : dialect_(std::move(dialect)), clock_(clock), options_(options), pool_(kConnections) {}

absl::StatusOr<std::unique_ptr<JobStore>> SqlJobStore::Open(std::unique_ptr<SqlDialect> dialect,
                                                            Clock* clock,
                                                            const JobStoreOptions& options) {
  std::unique_ptr<SqlJobStore> store(new SqlJobStore(std::move(dialect), clock, options));
  try {
    for (size_t i = 0; i < kConnections; ++i) store->dialect_->Connect(store->pool_.at(i));
  } catch (const soci::soci_error& error) {
    return store->dialect_->ToStatus(error);
  }
  CYTOPRESS_RETURN_IF_ERROR(
      options.create
          ? store->Write([&](soci::session& sql) { return MigrateSchema(sql, *store->dialect_); })
          : store->Read([&](soci::session& sql) { return CheckSchema(sql, *store->dialect_); }));
  return std::unique_ptr<JobStore>(std::move(store));
}

absl::Status SqlJobStore::Read(Body body) { return InTransaction(&SqlDialect::BeginRead, body); }

absl::Status SqlJobStore::Write(Body body) {
  absl::MutexLock lock(&write_mutex_);
  return InTransaction(&SqlDialect::BeginWrite, body);
}

void SqlJobStore::BeginOn(soci::session& sql, Begin begin) const {
  try {
    (*dialect_.*begin)(sql);
  } catch (const soci::soci_error& error) {
    // Or it waited for its turn in vain, which SOCI does not tell apart.
    if (!dialect_->HasLostConnection(error) || Answers(sql)) throw;
    // The database may have been started anew since the session was used last.
    sql.close();
    dialect_->Connect(sql);
    (*dialect_.*begin)(sql);
  }
}

absl::Status SqlJobStore::InTransaction(Begin begin, Body body) {
  try {
    soci::session sql(pool_);
    BeginOn(sql, begin);
    try {
      absl::Status status = body(sql);
      sql << (status.ok() ? "COMMIT" : "ROLLBACK");
      return status;
    } catch (const std::exception&) {
      try {
        sql << "ROLLBACK";
      } catch (const soci::soci_error&) {
        // The database has already ended the transaction; the first error is the one to report.
      }
      throw;
    }
  } catch (const soci::soci_error& error) {
    return dialect_->ToStatus(error);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("job database: ", error.what()));
  }
}

absl::StatusOr<v1::Job> SqlJobStore::Submit(const v1::JobSpec& spec,
                                            const std::string& request_id) {
  JobRow row;
  row.job.set_id(NewJobId(clock_->Now()));
  *row.job.mutable_spec() = WithDefaults(spec);
  // They are not stored, and must not make a repetition differ from what was.
  row.job.mutable_spec()->DiscardUnknownFields();
  row.job.set_request_id(request_id);
  row.job.set_state(v1::JOB_STATE_QUEUED);
  row.job.set_max_attempts(options_.max_attempts);
  *row.job.mutable_created() = ToTimestamp(clock_->Now());
  v1::Job job;
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) -> absl::Status {
    std::string earlier;
    if (!request_id.empty()) {
      sql << "SELECT id FROM jobs WHERE request_id = :request_id", soci::use(request_id),
          soci::into(earlier);
    }
    if (earlier.empty()) {
      CYTOPRESS_RETURN_IF_ERROR(InsertJob(sql, &row));
    } else {
      CYTOPRESS_ASSIGN_OR_RETURN(JobRow known, LoadJob(sql, earlier));
      if (Fingerprint(known.job.spec()) != Fingerprint(row.job.spec())) {
        return absl::AlreadyExistsError(
            absl::StrCat("request_id: \"", request_id, "\" was used for job ", earlier,
                         " with another spec; use a new request_id for a new job"));
      }
      row = std::move(known);
    }
    CYTOPRESS_ASSIGN_OR_RETURN(job, Complete(sql, std::move(row), LoadWorkers(sql), clock_->Now()));
    return absl::OkStatus();
  }));
  return job;
}

absl::StatusOr<v1::Job> SqlJobStore::Get(const std::string& id) {
  v1::Job job;
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    CYTOPRESS_ASSIGN_OR_RETURN(JobRow row, LoadJob(sql, id));
    CYTOPRESS_ASSIGN_OR_RETURN(job, Complete(sql, std::move(row), LoadWorkers(sql), clock_->Now()));
    return absl::OkStatus();
  }));
  return job;
}

absl::StatusOr<ListJobsPage> SqlJobStore::List(const ListJobsQuery& query) {
  CYTOPRESS_ASSIGN_OR_RETURN(const int64_t before, ParsePageToken(query));
  ListJobsPage page;
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    auto ids = ListIds(sql, query, before);
    if (static_cast<int>(ids.size()) > query.page_size) {
      ids.pop_back();
      page.next_page_token = PageToken(query, ids.back().first);
    }
    const std::vector<WorkerInfo> workers = LoadWorkers(sql);
    int64_t bytes = 0;
    int64_t last_number = 0;
    for (const auto& [number, id] : ids) {
      absl::StatusOr<JobRow> row = LoadJob(sql, id);
      absl::StatusOr<v1::Job> job =
          row.ok() ? Complete(sql, *std::move(row), workers, clock_->Now()) : row.status();
      if (job.ok()) {
        bytes += static_cast<int64_t>(job->ByteSizeLong());
        if (!page.jobs.empty() && bytes > query.max_page_bytes) {
          page.next_page_token = PageToken(query, last_number);
          break;
        }
        page.jobs.push_back(*std::move(job));
      } else if (absl::IsDataLoss(job.status())) {
        spdlog::warn("{} is left out of the list: {}", id, std::string(job.status().message()));
      } else {
        return job.status();
      }
      last_number = number;
    }
    return absl::OkStatus();
  }));
  return page;
}

absl::StatusOr<v1::Job> SqlJobStore::Cancel(const std::string& id) {
  v1::Job job;
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) -> absl::Status {
    CYTOPRESS_ASSIGN_OR_RETURN(JobRow row, LoadJob(sql, id));
    const v1::JobState state = row.job.state();
    const bool asked_before = row.job.cancel_requested();
    row.job.set_cancel_requested(true);
    if (IsHeld(state)) {
      if (!asked_before) CYTOPRESS_RETURN_IF_ERROR(SaveJob(sql, &row));
    } else if (state != v1::JOB_STATE_CANCELLED) {
      CYTOPRESS_RETURN_IF_ERROR(Move(&row, v1::JOB_STATE_CANCELLED));
      CYTOPRESS_RETURN_IF_ERROR(SaveJob(sql, &row));
    }
    job = std::move(row.job);
    return LoadLedger(sql, &job);
  }));
  return job;
}

absl::StatusOr<int64_t> SqlJobStore::Revision(const std::string& id) {
  int64_t revision = 0;
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    sql << "SELECT revision FROM jobs WHERE id = :id", soci::use(id), soci::into(revision);
    return sql.got_data() ? absl::OkStatus()
                          : absl::NotFoundError(absl::StrCat("no job \"", id, "\""));
  }));
  return revision;
}

absl::StatusOr<std::unique_ptr<JobStore>> OpenJobStore(const std::string& url, Clock* clock,
                                                       const JobStoreOptions& options) {
  if (options.max_attempts < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_attempts: ", options.max_attempts, " is less than 1"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(std::unique_ptr<SqlDialect> dialect, DialectOf(url, options.create));
  return SqlJobStore::Open(std::move(dialect), clock, options);
}

}  // namespace cytopress
