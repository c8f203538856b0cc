// A job store that passes every call on, for tests to override some.
#ifndef CYTOPRESS_TESTS_SERVER_WORKER_FORWARDING_JOB_STORE_H_
#define CYTOPRESS_TESTS_SERVER_WORKER_FORWARDING_JOB_STORE_H_

#include <string>
#include <utility>
#include <vector>

#include "core/jobs/job_store.h"

namespace cytopress {

class ForwardingJobStore : public JobStore {
 public:
  explicit ForwardingJobStore(JobStore* to) : to_(to) {}

  absl::StatusOr<v1::Job> Submit(const v1::JobSpec& spec, const std::string& id) override {
    return to_->Submit(spec, id);
  }
  absl::StatusOr<v1::Job> Get(const std::string& id) override { return to_->Get(id); }
  absl::StatusOr<ListJobsPage> List(const ListJobsQuery& query) override {
    return to_->List(query);
  }
  absl::StatusOr<v1::Job> Cancel(const std::string& id) override { return to_->Cancel(id); }
  absl::StatusOr<int64_t> Revision(const std::string& id) override { return to_->Revision(id); }
  absl::StatusOr<std::optional<LeasedJob>> AcquireLease(const std::string& worker,
                                                        const std::string& device,
                                                        absl::Duration duration) override {
    return to_->AcquireLease(worker, device, duration);
  }
  absl::StatusOr<bool> RenewLease(const Lease& lease, absl::Duration duration) override {
    return to_->RenewLease(lease, duration);
  }
  absl::Status Start(const Lease& lease) override { return to_->Start(lease); }
  absl::Status ReportProgress(const Lease& lease, const v1::Progress& progress) override {
    return to_->ReportProgress(lease, progress);
  }
  absl::Status AppendLedger(const Lease& lease, const v1::LedgerEntry& entry) override {
    return to_->AppendLedger(lease, entry);
  }
  absl::Status Succeed(const Lease& lease, const std::string& model,
                       const std::string& parent) override {
    return to_->Succeed(lease, model, parent);
  }
  absl::Status Fail(const Lease& lease, const std::string& error, bool retryable) override {
    return to_->Fail(lease, error, retryable);
  }
  absl::Status AcknowledgeCancel(const Lease& lease) override {
    return to_->AcknowledgeCancel(lease);
  }
  absl::Status Release(const Lease& lease) override { return to_->Release(lease); }
  absl::StatusOr<std::vector<std::string>> ReapExpired() override { return to_->ReapExpired(); }
  absl::StatusOr<std::vector<std::string>> ReapWorker(const std::string& worker) override {
    return to_->ReapWorker(worker);
  }
  absl::StatusOr<std::vector<std::string>> ReleaseWorker(const std::string& worker) override {
    return to_->ReleaseWorker(worker);
  }
  absl::StatusOr<int64_t> QueuedFor(const std::string& device) override {
    return to_->QueuedFor(device);
  }
  absl::StatusOr<RegistryNote> NoteRegistry(const RegistryNote& mine) override {
    return to_->NoteRegistry(mine);
  }
  absl::Status Heartbeat(const std::string& worker, const std::string& device,
                         const std::string& job_id) override {
    return to_->Heartbeat(worker, device, job_id);
  }
  absl::StatusOr<std::vector<WorkerInfo>> ListWorkers() override { return to_->ListWorkers(); }
  absl::StatusOr<QueueStats> Stats() override { return to_->Stats(); }
  absl::StatusOr<std::vector<std::pair<int64_t, v1::LedgerEntry>>> LedgerSince(
      int64_t after) override {
    return to_->LedgerSince(after);
  }
  absl::StatusOr<int64_t> LastLedgerLine() override { return to_->LastLedgerLine(); }

 private:
  JobStore* const to_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_WORKER_FORWARDING_JOB_STORE_H_
