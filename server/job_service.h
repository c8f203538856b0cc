// cytopress.v1.JobService over a JobStore.
#ifndef CYTOPRESS_SERVER_JOB_SERVICE_H_
#define CYTOPRESS_SERVER_JOB_SERVICE_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/jobs/job_store.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "server/blocking_calls.h"
#include "server/job_watcher.h"

namespace cytopress {

struct JobServiceOptions {
  // Of the workers on this machine, where the data set of a job that they may take has to be;
  // empty: there are none.
  std::string worker_device;
  // Called after a job was queued.
  std::function<void()> on_submitted = [] {};
};

// Thread-safe: gRPC calls it on many threads.
class JobService : public v1::JobService::CallbackService {
 public:
  // All must outlive the service. `base_model_mutex` is held from looking for a base model until
  // the job that needs it is stored, so that it is not deleted in between.
  JobService(const JobServiceOptions& options, JobStore* store, const ModelRegistry* registry,
             absl::Mutex* base_model_mutex, JobWatcher* watcher, BlockingCalls* calls);

  grpc::ServerUnaryReactor* Compress(grpc::CallbackServerContext* context,
                                     const v1::CompressRequest* request,
                                     v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchJobResponse>* WatchJob(
      grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override;

 private:
  absl::Status CheckDataset(const v1::JobSpec& spec) const;
  // Gives the base model the version that it has now.
  absl::Status PinBase(v1::JobSpec* spec) const;
  absl::StatusOr<v1::Job> Submit(const v1::CompressRequest& request);
  // `dataset` is what is wrong with that of a new job.
  absl::StatusOr<v1::Job> Store(v1::JobSpec spec, const std::string& request_id,
                                const absl::Status& dataset);
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request);

  const JobServiceOptions options_;
  JobStore* const store_;
  const ModelRegistry* const registry_;
  absl::Mutex* const base_model_mutex_;
  JobWatcher* const watcher_;
  BlockingCalls* const calls_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_JOB_SERVICE_H_
