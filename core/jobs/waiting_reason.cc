#include "core/jobs/waiting_reason.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/jobs/lease_times.h"

namespace cytopress {

std::string WaitingReason(const v1::Job& job, absl::Time not_before,
                          const std::vector<WorkerInfo>& workers, absl::Time now) {
  if (job.state() != v1::JOB_STATE_QUEUED) return "";
  const std::string& device = job.spec().device();
  std::set<std::string> devices;
  std::vector<std::string> busy;
  bool idle = false;
  for (const WorkerInfo& worker : workers) {
    if (now - worker.last_seen > LeaseTimes().worker_is_up_for()) continue;
    devices.insert(worker.device);
    if (!device.empty() && worker.device != device) continue;
    if (worker.job_id.empty()) {
      idle = true;
    } else {
      busy.push_back(absl::StrCat(worker.name, " (", worker.job_id, ")"));
    }
  }
  if (devices.empty()) {
    return "no worker is up; start cytopressd with --workers, or a cytopress-worker; if one should "
           "be, look into the log of cytopressd and those of its workers, "
           "<its state folder>/logs/worker-*.log";
  }
  if (busy.empty() && !idle) {
    return absl::StrCat("no worker for ", device, " is up, only for ", absl::StrJoin(devices, ", "),
                        "; start one with --device ", device,
                        ", or cancel the job and ask for another device");
  }
  if (now < not_before) return "it pauses, since the last attempt failed";
  if (idle) return "";
  return absl::StrCat("all workers that fit are busy: ", absl::StrJoin(busy, ", "));
}

}  // namespace cytopress
