#include "server/job_service.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/dataset/synthetic_uri.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/job_spec.h"
#include "core/serving/error_details.h"
#include "server/paging.h"
#include "server/watch_reactor.h"

namespace cytopress {
namespace {

constexpr size_t kMaxRequestId = 128;

absl::Status Named(absl::Status status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return WithReason(std::move(status), "JOB_NOT_FOUND");
    case absl::StatusCode::kFailedPrecondition:
      return WithReason(std::move(status), "JOB_ENDED");
    default:
      return status;
  }
}

absl::StatusOr<v1::Job> Named(absl::StatusOr<v1::Job> job) {
  if (job.ok()) return job;
  return Named(job.status());
}

absl::Status CheckId(const std::string& id) {
  if (!id.empty()) return absl::OkStatus();
  return InvalidField("id", "is empty; give the id that Compress answered");
}

// What can be said without looking at the data or the base model.
absl::Status CheckCompress(const v1::CompressRequest& request) {
  std::vector<FieldViolation> violations = ValidateJobSpec(request.spec());
  // As the worker will check it.
  if (violations.empty()) violations = ValidateJobSpec(WithDefaults(request.spec()));
  for (FieldViolation& violation : violations) {
    violation.field.insert(0, violation.field.empty() ? "spec" : "spec.");
  }
  if (request.request_id().size() > kMaxRequestId) {
    violations.push_back({"request_id", absl::StrCat("has ", request.request_id().size(),
                                                     " bytes; at most ", kMaxRequestId)});
  }
  // A database may take a NUL for the end of the text.
  if (absl::c_any_of(request.request_id(), absl::ascii_iscntrl)) {
    violations.push_back({"request_id", "has ASCII control characters"});
  }
  for (FieldViolation& unknown : UnknownFields(request, "request")) {
    violations.push_back(std::move(unknown));
  }
  if (violations.empty()) return absl::OkStatus();
  absl::Status status = InvalidField(violations[0].field, violations[0].description);
  for (size_t i = 1; i < violations.size(); ++i) {
    status = WithFieldViolation(std::move(status), violations[i].field, violations[i].description);
  }
  return status;
}

// The job that `request_id` asked for before, if it did.
absl::StatusOr<std::optional<v1::Job>> FirstOf(const std::string& request_id, JobStore* store) {
  if (request_id.empty()) return std::nullopt;
  ListJobsQuery query;
  query.request_id = request_id;
  query.page_size = 1;
  CYTOPRESS_ASSIGN_OR_RETURN(ListJobsPage page, store->List(query));
  if (page.jobs.empty()) return std::nullopt;
  return std::move(page.jobs.front());
}

}  // namespace

JobService::JobService(const JobServiceOptions& options, JobStore* store,
                       const ModelRegistry* registry, JobWatcher* watcher, BlockingCalls* calls)
    : options_(options), store_(store), registry_(registry), watcher_(watcher), calls_(calls) {}

std::string JobService::WhatIsWrongWith(const std::string& path) {
  std::multiset<std::string>::iterator look;
  {
    absl::MutexLock lock(&looks_mutex_);
    if (static_cast<int>(looks_.size()) == kMaxDatasetLooks) {
      spdlog::warn(
          "the data set {} is not looked at before its job is queued: looks at {} have not ended; "
          "where they never do, the disk hangs",
          absl::Utf8SafeCEscape(path), absl::Utf8SafeCEscape(absl::StrJoin(looks_, " and ")));
      return "";
    }
    look = looks_.insert(path);
  }
  const absl::Cleanup end = [this, look] {
    absl::MutexLock lock(&looks_mutex_);
    looks_.erase(look);
  };
  return options_.look_at_dataset(path);
}

absl::Status JobService::CheckDataset(const v1::JobSpec& spec) {
  const std::string& uri = spec.dataset().uri();
  const std::string& device = options_.worker_device;
  if (device.empty() || uri.empty() || IsSynthetic(uri)) return absl::OkStatus();
  if (!std::filesystem::path(uri).is_absolute()) {
    return InvalidField("spec.dataset.uri",
                        absl::StrCat("\"", uri,
                                     "\" is a relative path; give an absolute one, as the worker "
                                     "sees it, or \"synthetic\""));
  }
  // One for another device runs on another machine, with disks of its own.
  if (!spec.device().empty() && spec.device() != device) return absl::OkStatus();
  const std::string wrong = WhatIsWrongWith(uri);
  return wrong.empty() ? absl::OkStatus() : InvalidField("spec.dataset.uri", wrong);
}

absl::Status JobService::PinBase(v1::JobSpec* spec) const {
  if (spec->base_model().empty()) return absl::OkStatus();
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion wanted, ParseModelVersion(spec->base_model()));
  const absl::StatusOr<v1::Model> base = registry_->Get(wanted);
  if (absl::IsNotFound(base.status())) {
    return WithReason(WithFieldViolation(base.status(), "spec.base_model", base.status().message()),
                      "MODEL_NOT_FOUND");
  }
  CYTOPRESS_RETURN_IF_ERROR(base.status());
  spec->set_base_model(ToString({base->name(), base->version()}));
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> JobService::Store(v1::JobSpec spec, const std::string& request_id,
                                          const absl::Status& dataset) {
  CYTOPRESS_ASSIGN_OR_RETURN(std::optional<v1::Job> first, FirstOf(request_id, store_));
  // Until the job is stored no server deletes its base model, which another one would not find in
  // the jobs, nor does the newest version change between two such calls at the same time.
  ModelFolderLock held;
  if (!first.has_value() && !spec.base_model().empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion base, ParseModelVersion(spec.base_model()));
    CYTOPRESS_ASSIGN_OR_RETURN(held, registry_->Hold(base.name));
    CYTOPRESS_ASSIGN_OR_RETURN(first, FirstOf(request_id, store_));  // the other may be done by now
  }
  // A repetition is about the data and the base that were there the first time, whatever has become
  // of them.
  if (!first.has_value()) {
    CYTOPRESS_RETURN_IF_ERROR(dataset);
    CYTOPRESS_RETURN_IF_ERROR(PinBase(&spec));
  } else if (absl::StartsWith(first->spec().base_model(), absl::StrCat(spec.base_model(), "@"))) {
    // What was the newest version then.
    spec.set_base_model(first->spec().base_model());
  }
  // It compares the two.
  absl::StatusOr<v1::Job> job = store_->Submit(spec, request_id);
  if (!absl::IsAlreadyExists(job.status())) return job;
  // Which job it is: not `first`, where another call was faster.
  CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Job> owner, FirstOf(request_id, store_));
  std::map<std::string, std::string> metadata;
  if (owner.has_value()) metadata["job"] = owner->id();
  return WithReason(job.status(), "REQUEST_ID_REUSED", metadata);
}

absl::StatusOr<v1::Job> JobService::Submit(const v1::CompressRequest& request) {
  CYTOPRESS_RETURN_IF_ERROR(CheckCompress(request));
  const v1::JobSpec spec = WithDefaults(request.spec());
  // Before anything is held: a disk on the network may be slow.
  const absl::Status dataset = CheckDataset(spec);
  absl::StatusOr<v1::Job> job = Store(spec, request.request_id(), dataset);
  if (job.ok()) options_.on_submitted();
  return job;
}

grpc::ServerUnaryReactor* JobService::Compress(grpc::CallbackServerContext* context,
                                               const v1::CompressRequest* request,
                                               v1::Job* response) {
  return calls_->Answer<v1::Job>(context, response, [this, request] { return Submit(*request); });
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const v1::GetJobRequest* request, v1::Job* response) {
  return calls_->Answer<v1::Job>(context, response, [this, request]() -> absl::StatusOr<v1::Job> {
    CYTOPRESS_RETURN_IF_ERROR(CheckId(request->id()));
    return Named(store_->Get(request->id()));
  });
}

absl::StatusOr<v1::ListJobsResponse> JobService::List(const v1::ListJobsRequest& request) {
  ListJobsQuery query;
  for (int i = 0; i < request.states_size(); ++i) {
    const v1::JobState state = request.states(i);
    if (!v1::JobState_IsValid(state) || state == v1::JOB_STATE_UNSPECIFIED) {
      return InvalidField(absl::StrCat("states[", i, "]"),
                          absl::StrCat(static_cast<int>(state), " is no state of a job"));
    }
    query.states.push_back(state);
  }
  query.model_name = request.model_name();
  query.max_page_bytes = kMaxPageBytes;
  query.page_token = request.page_token();
  CYTOPRESS_ASSIGN_OR_RETURN(query.page_size, PageSize(request.page_size()));
  absl::StatusOr<ListJobsPage> page = store_->List(query);
  if (absl::IsInvalidArgument(page.status())) {
    return InvalidField("page_token", page.status().message());
  }
  CYTOPRESS_RETURN_IF_ERROR(page.status());
  v1::ListJobsResponse response;
  for (v1::Job& job : page->jobs) *response.add_jobs() = std::move(job);
  response.set_next_page_token(page->next_page_token);
  return response;
}

grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return calls_->Answer<v1::ListJobsResponse>(context, response,
                                              [this, request] { return List(*request); });
}

grpc::ServerWriteReactor<v1::WatchJobResponse>* JobService::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  return WatchReactor::Start(request->id(), watcher_, context);
}

grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const v1::CancelJobRequest* request,
                                                v1::Job* response) {
  return calls_->Answer<v1::Job>(context, response, [this, request]() -> absl::StatusOr<v1::Job> {
    CYTOPRESS_RETURN_IF_ERROR(CheckId(request->id()));
    return Named(store_->Cancel(request->id()));
  });
}

}  // namespace cytopress
