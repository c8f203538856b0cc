// Who is at work, what the supervisor and monitoring ask, and which registry all of them share.
#include <spdlog/spdlog.h>

#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"
#include "core/jobs/sql_job_store.h"

namespace cytopress {
namespace {

constexpr int kMaxLedgerLines = 1000;

}  // namespace

std::vector<WorkerInfo> SqlJobStore::LoadWorkers(soci::session& sql) {
  std::vector<WorkerInfo> workers;
  WorkerInfo info;
  int64_t last_seen_us = 0;
  soci::statement query =
      (sql.prepare << "SELECT name, device, job_id, last_seen_us FROM workers ORDER BY name",
       soci::into(info.name), soci::into(info.device), soci::into(info.job_id),
       soci::into(last_seen_us));
  query.execute();
  while (query.fetch()) {
    info.last_seen = absl::FromUnixMicros(last_seen_us);
    workers.push_back(info);
  }
  return workers;
}

absl::Status SqlJobStore::Heartbeat(const std::string& worker, const std::string& device,
                                    const std::string& job_id) {
  const int64_t now_us = ToMicros(clock_->Now());
  return Write([&](soci::session& sql) -> absl::Status {
    sql << "INSERT INTO workers (name, device, job_id, last_seen_us)"
           " VALUES (:name, :device, :job_id, :now) ON CONFLICT (name) DO UPDATE SET"
           " device = excluded.device, job_id = excluded.job_id,"
           " last_seen_us = excluded.last_seen_us",
        soci::use(worker), soci::use(device), soci::use(job_id), soci::use(now_us);
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<WorkerInfo>> SqlJobStore::ListWorkers() {
  std::vector<WorkerInfo> workers;
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    workers = LoadWorkers(sql);
    return absl::OkStatus();
  }));
  return workers;
}

absl::StatusOr<int64_t> SqlJobStore::QueuedFor(const std::string& device) {
  int64_t count = 0;
  const std::string may_begin = PauseIsOver(clock_->Now());
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    const int queued = v1::JOB_STATE_QUEUED;
    sql << "SELECT COUNT(*) FROM jobs WHERE state = :state AND device IN ('', :device) AND "
        << may_begin,
        soci::use(queued), soci::use(device), soci::into(count);
    return absl::OkStatus();
  }));
  return count;
}

absl::StatusOr<QueueStats> SqlJobStore::Stats() {
  QueueStats stats;
  for (v1::JobState state : AllJobStates()) stats.jobs_by_state[state] = 0;
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    int state = 0;
    int64_t count = 0;
    int64_t oldest_us = 0;
    soci::statement query =
        (sql.prepare << "SELECT state, COUNT(*), MIN(created_us) FROM jobs GROUP BY state",
         soci::into(state), soci::into(count), soci::into(oldest_us));
    query.execute();
    while (query.fetch()) {
      stats.jobs_by_state[static_cast<v1::JobState>(state)] = count;
      if (state != v1::JOB_STATE_QUEUED) continue;
      stats.depth = count;
      stats.oldest_age = clock_->Now() - absl::FromUnixMicros(oldest_us);
    }
    return absl::OkStatus();
  }));
  return stats;
}

absl::StatusOr<std::vector<std::pair<int64_t, v1::LedgerEntry>>> SqlJobStore::LedgerSince(
    int64_t after) {
  std::vector<std::pair<int64_t, v1::LedgerEntry>> lines;
  int found = 0;
  do {
    found = 0;
    CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
      int64_t number = 0;
      std::string json;
      const int64_t from = after;
      soci::statement query = (sql.prepare << "SELECT number, entry FROM ledger WHERE number > "
                                              ":after ORDER BY number LIMIT "
                                           << kMaxLedgerLines,
                               soci::use(from), soci::into(number), soci::into(json));
      query.execute();
      while (query.fetch()) {
        ++found;
        after = number;
        absl::StatusOr<v1::LedgerEntry> entry = ParseLedgerEntry(json);
        if (entry.ok()) {
          lines.emplace_back(number, *std::move(entry));
        } else {
          spdlog::warn("line {} of the ledger is left out: {}", number,
                       std::string(entry.status().message()));
        }
      }
      return absl::OkStatus();
    }));
  } while (lines.empty() && found == kMaxLedgerLines);  // all of them damaged
  return lines;
}

absl::StatusOr<int64_t> SqlJobStore::LastLedgerLine() {
  int64_t number = 0;
  CYTOPRESS_RETURN_IF_ERROR(Read([&](soci::session& sql) -> absl::Status {
    sql << "SELECT COALESCE(MAX(number), 0) FROM ledger", soci::into(number);
    return absl::OkStatus();
  }));
  return number;
}

absl::StatusOr<RegistryNote> SqlJobStore::NoteRegistry(const RegistryNote& mine) {
  RegistryNote known;
  const auto look = [&known](soci::session& sql) {
    sql << "SELECT id, place FROM registry", soci::into(known.id), soci::into(known.place);
    return absl::OkStatus();
  };
  CYTOPRESS_RETURN_IF_ERROR(Read(look));
  if (!known.id.empty() || mine.id.empty()) return known;
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) {
    sql << "INSERT INTO registry (number, id, place) VALUES (1, :id, :place)"
           " ON CONFLICT (number) DO NOTHING",
        soci::use(mine.id), soci::use(mine.place);
    return look(sql);
  }));
  return known;
}

}  // namespace cytopress
