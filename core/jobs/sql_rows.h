// One job as a row of the table `jobs`, and the lines of its ledger. Everything here throws what
// SOCI throws; SqlJobStore catches it.
#ifndef CYTOPRESS_CORE_JOBS_SQL_ROWS_H_
#define CYTOPRESS_CORE_JOBS_SQL_ROWS_H_

#include <soci/soci.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

struct JobRow {
  int64_t number = 0;  // order of submission
  v1::Job job;         // without its ledger
  int64_t lease_expires_us = 0;
  int64_t not_before_us = 0;  // a queued job waits until then
  int64_t fence = 0;
  int64_t revision = 0;
};

int64_t ToMicros(absl::Time time);
google::protobuf::Timestamp ToTimestamp(absl::Time time);

// Bytes that are the same for equal messages.
std::string Fingerprint(const google::protobuf::MessageLite& message);

// NOT_FOUND names the id.
absl::StatusOr<JobRow> LoadJob(soci::session& sql, const std::string& id);
// Adds the row and sets row->number.
absl::Status InsertJob(soci::session& sql, JobRow* row);
// Writes what can change and counts up row->revision.
absl::Status SaveJob(soci::session& sql, JobRow* row);
// FAILED with `error`, whatever the row holds and without reading it: for one that LoadJob finds
// damaged (DATA_LOSS). No lease of it counts any longer.
void FailDamagedJob(soci::session& sql, const std::string& id, const std::string& error,
                    absl::Time now);

// At the end of the job's ledger, unless it is there already.
absl::Status AddLedgerEntry(soci::session& sql, const std::string& job_id,
                            const v1::LedgerEntry& entry);
absl::StatusOr<v1::LedgerEntry> ParseLedgerEntry(const std::string& json);
absl::Status LoadLedger(soci::session& sql, v1::Job* job);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_SQL_ROWS_H_
