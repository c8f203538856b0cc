#include "core/jobs/sql_rows.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", message.GetTypeName(), " cannot be stored: ", status.ToString()));
  }
  return json;
}

absl::Status FromJson(const std::string& json, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // written by a newer program
  const auto status = google::protobuf::util::JsonStringToMessage(json, message, options);
  if (!status.ok()) {
    return absl::DataLossError(absl::StrCat("the job database holds an unreadable ",
                                            message->GetTypeName(), ": ", status.ToString()));
  }
  return absl::OkStatus();
}

int64_t MicrosOf(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000000 + time.nanos() / 1000;
}

google::protobuf::Timestamp TimestampOf(int64_t micros) {
  return ToTimestamp(absl::FromUnixMicros(micros));
}

// The columns as SOCI reads them.
struct Columns {
  int64_t number, created_us, started_us, finished_us, lease_expires_us, not_before_us, fence,
      revision;
  int state, attempt, max_attempts, cancel_requested;
  std::string id, request_id, spec, progress, error, worker, model, parent_model;
};

absl::StatusOr<JobRow> ToRow(const Columns& c) {
  JobRow row;
  row.number = c.number;
  row.lease_expires_us = c.lease_expires_us;
  row.not_before_us = c.not_before_us;
  row.fence = c.fence;
  row.revision = c.revision;
  v1::Job& job = row.job;
  job.set_id(c.id);
  job.set_request_id(c.request_id);
  job.set_state(static_cast<v1::JobState>(c.state));
  job.set_error(c.error);
  job.set_worker(c.worker);
  job.set_attempt(c.attempt);
  job.set_max_attempts(c.max_attempts);
  job.set_cancel_requested(c.cancel_requested != 0);
  job.set_model(c.model);
  job.set_parent_model(c.parent_model);
  *job.mutable_created() = TimestampOf(c.created_us);
  if (c.started_us != 0) *job.mutable_started() = TimestampOf(c.started_us);
  if (c.finished_us != 0) *job.mutable_finished() = TimestampOf(c.finished_us);
  CYTOPRESS_RETURN_IF_ERROR(FromJson(c.spec, job.mutable_spec()));
  if (!c.progress.empty()) {
    CYTOPRESS_RETURN_IF_ERROR(FromJson(c.progress, job.mutable_progress()));
  }
  return row;
}

absl::StatusOr<std::string> ProgressJson(const v1::Job& job) {
  if (!job.has_progress()) return std::string();
  return ToJson(job.progress());
}

}  // namespace

int64_t ToMicros(absl::Time time) { return absl::ToUnixMicros(time); }

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(micros / 1000000);
  timestamp.set_nanos(static_cast<int32_t>(micros % 1000000 * 1000));
  return timestamp;
}

std::string Fingerprint(const google::protobuf::MessageLite& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

absl::StatusOr<JobRow> LoadJob(soci::session& sql, const std::string& id) {
  Columns c{};
  sql << "SELECT number, id, COALESCE(request_id, ''), state, spec, progress, error, worker, "
         "attempt,"
         " max_attempts, cancel_requested, model, parent_model, created_us, started_us, "
         "finished_us,"
         " lease_expires_us, not_before_us, fence, revision FROM jobs WHERE id = :id",
      soci::use(id), soci::into(c.number), soci::into(c.id), soci::into(c.request_id),
      soci::into(c.state), soci::into(c.spec), soci::into(c.progress), soci::into(c.error),
      soci::into(c.worker), soci::into(c.attempt), soci::into(c.max_attempts),
      soci::into(c.cancel_requested), soci::into(c.model), soci::into(c.parent_model),
      soci::into(c.created_us), soci::into(c.started_us), soci::into(c.finished_us),
      soci::into(c.lease_expires_us), soci::into(c.not_before_us), soci::into(c.fence),
      soci::into(c.revision);
  if (!sql.got_data()) return absl::NotFoundError(absl::StrCat("no job \"", id, "\""));
  return ToRow(c);
}

absl::Status InsertJob(soci::session& sql, JobRow* row) {
  const v1::Job& job = row->job;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string spec, ToJson(job.spec()));
  soci::indicator request_id = job.request_id().empty() ? soci::i_null : soci::i_ok;
  const int state = job.state();
  const int max_attempts = job.max_attempts();
  const int64_t created_us = MicrosOf(job.created());
  sql << "INSERT INTO jobs (id, request_id, model_name, device, state, spec, progress, error, "
         "worker,"
         " attempt, max_attempts, cancel_requested, model, parent_model, created_us, started_us,"
         " finished_us, lease_expires_us, fence, revision) VALUES (:id, :request_id, :model_name,"
         " :device, :state, :spec, '', '', '', 0, :max_attempts, 0, '', '', :created, 0, 0, 0, 0, "
         "1)",
      soci::use(job.id()), soci::use(job.request_id(), request_id),
      soci::use(job.spec().model_name()), soci::use(job.spec().device()), soci::use(state),
      soci::use(spec), soci::use(max_attempts), soci::use(created_us);
  sql << "SELECT number, revision FROM jobs WHERE id = :id", soci::use(job.id()),
      soci::into(row->number), soci::into(row->revision);
  return absl::OkStatus();
}

absl::Status SaveJob(soci::session& sql, JobRow* row) {
  const v1::Job& job = row->job;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string progress, ProgressJson(job));
  const int state = job.state();
  const int attempt = job.attempt();
  const int cancel_requested = job.cancel_requested() ? 1 : 0;
  const int64_t started_us = MicrosOf(job.started());
  const int64_t finished_us = MicrosOf(job.finished());
  ++row->revision;
  sql << "UPDATE jobs SET state = :state, progress = :progress, error = :error, worker = :worker,"
         " attempt = :attempt, cancel_requested = :cancel, model = :model, parent_model = :parent,"
         " started_us = :started, finished_us = :finished, lease_expires_us = :expires,"
         " not_before_us = :not_before, fence = :fence, revision = :revision WHERE number = "
         ":number",
      soci::use(state), soci::use(progress), soci::use(job.error()), soci::use(job.worker()),
      soci::use(attempt), soci::use(cancel_requested), soci::use(job.model()),
      soci::use(job.parent_model()), soci::use(started_us), soci::use(finished_us),
      soci::use(row->lease_expires_us), soci::use(row->not_before_us), soci::use(row->fence),
      soci::use(row->revision), soci::use(row->number);
  return absl::OkStatus();
}

void FailDamagedJob(soci::session& sql, const std::string& id, const std::string& error,
                    absl::Time now) {
  const int failed = v1::JOB_STATE_FAILED;
  const int64_t now_us = ToMicros(now);
  sql << "UPDATE jobs SET state = :state, error = :error, finished_us = :now,"
         " lease_expires_us = 0, fence = fence + 1, revision = revision + 1 WHERE id = :id",
      soci::use(failed), soci::use(error), soci::use(now_us), soci::use(id);
}

absl::Status AddLedgerEntry(soci::session& sql, const std::string& job_id,
                            const v1::LedgerEntry& entry) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string json, ToJson(entry));
  std::string last;
  sql << "SELECT entry FROM ledger WHERE job_id = :job_id ORDER BY number DESC LIMIT 1",
      soci::use(job_id), soci::into(last);
  if (last == json) return absl::OkStatus();
  sql << "INSERT INTO ledger (job_id, entry) VALUES (:job_id, :entry)", soci::use(job_id),
      soci::use(json);
  return absl::OkStatus();
}

absl::StatusOr<v1::LedgerEntry> ParseLedgerEntry(const std::string& json) {
  v1::LedgerEntry entry;
  CYTOPRESS_RETURN_IF_ERROR(FromJson(json, &entry));
  return entry;
}

absl::Status LoadLedger(soci::session& sql, v1::Job* job) {
  soci::rowset<std::string> lines =
      (sql.prepare << "SELECT entry FROM ledger WHERE job_id = :id ORDER BY number",
       soci::use(job->id()));
  for (const std::string& line : lines) {
    CYTOPRESS_ASSIGN_OR_RETURN(*job->add_ledger(), ParseLedgerEntry(line));
  }
  return absl::OkStatus();
}

}  // namespace cytopress
