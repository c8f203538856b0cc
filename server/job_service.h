// cytopress.v1.JobService over a JobStore.
#ifndef CYTOPRESS_SERVER_JOB_SERVICE_H_
#define CYTOPRESS_SERVER_JOB_SERVICE_H_

#include <functional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/jobs/job_store.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "server/blocking_calls.h"
#include "server/dataset_check.h"
#include "server/job_watcher.h"

namespace cytopress {

// So many data sets are looked at at a time, so that a disk that hangs takes no more threads. The
// job of another one is queued without: the worker will tell.
inline constexpr int kMaxDatasetLooks = 2;

struct JobServiceOptions {
  // Of the workers on this machine, where the data set of a job that they may take has to be;
  // empty: there are none.
  std::string worker_device;
  // Takes as long as the disk does.
  std::function<std::string(const std::string& path)> look_at_dataset = WhatIsWrongWithDataset;
  // Called after a job was queued.
  std::function<void()> on_submitted = [] {};
};

// Thread-safe: gRPC calls it on many threads.
class JobService : public v1::JobService::CallbackService {
 public:
  // All must outlive the service. `calls` wants more threads than kMaxDatasetLooks.
  JobService(const JobServiceOptions& options, JobStore* store, const ModelRegistry* registry,
             JobWatcher* watcher, BlockingCalls* calls);

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
  absl::Status CheckDataset(const v1::JobSpec& spec);
  // Empty also where it is not looked at.
  std::string WhatIsWrongWith(const std::string& path);
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
  JobWatcher* const watcher_;
  BlockingCalls* const calls_;

  absl::Mutex looks_mutex_;
  std::multiset<std::string> looks_ ABSL_GUARDED_BY(looks_mutex_);  // paths
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_JOB_SERVICE_H_
