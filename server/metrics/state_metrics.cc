#include "server/metrics/state_metrics.h"

#include <spdlog/spdlog.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/jobs/job_state.h"
#include "core/jobs/lease_times.h"
#include "server/metrics/families.h"

namespace cytopress {
namespace {

constexpr absl::Duration kCacheFor = absl::Seconds(1);
// A worker that is gone for good should not be shown as down for ever.
constexpr absl::Duration kForgetWorkerAfter = absl::Minutes(15);
// Pages of the ledger that one scrape reads at most; the next goes on from there.
constexpr int kMaxLedgerPages = 20;

const prometheus::Histogram::BucketBoundaries& StageBuckets() {
  static const auto* const buckets = new prometheus::Histogram::BucketBoundaries{
      1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400};
  return *buckets;
}

// Where a failed reading shows: the log, once a scrape, and a metric that is missing.
void Warn(const char* what, const absl::Status& status) {
  spdlog::warn("metrics: cannot read {}: {}", what, status.ToString());
}

// Of a ledger line: "fine-tune" of STAGE_KIND_FINE_TUNE.
std::string StageLabel(v1::StageKind kind) {
  constexpr size_t kPrefix = sizeof("STAGE_KIND_") - 1;
  const std::string name = v1::StageKind_IsValid(kind) ? v1::StageKind_Name(kind) : "";
  if (name.size() <= kPrefix) return "unknown";  // of a newer worker
  return absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(kPrefix)), {{"_", "-"}});
}

}  // namespace

StateMetrics::StateMetrics(StateSources sources)
    : sources_(std::move(sources)),
      stage_seconds_(prometheus::BuildHistogram()
                         .Name("cytopress_stage_seconds")
                         .Help("How long a stage of a job took, of those that have ended since the "
                               "server started")
                         .Register(counted_)),
      training_speed_(prometheus::BuildGauge()
                          .Name("cytopress_training_images_per_second")
                          .Help("Training speed of the stage of that name that was last reported")
                          .Register(counted_)) {
  absl::MutexLock lock(&mutex_);
  ReadLedger();
}

std::vector<prometheus::MetricFamily> StateMetrics::Collect() const {
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = sources_.clock->Steady();
  if (now - refreshed_ >= kCacheFor) {
    Refresh();
    refreshed_ = now;
  }
  return cached_;
}

void StateMetrics::Refresh() const {
  ReadLedger();
  Families families = counted_.Collect();
  CollectJobs(&families);
  CollectWorkers(&families);
  CollectModels(&families);
  CollectDisk(&families);
  GaugeFamily waiting("cytopress_classify_queue_depth",
                      "Images admitted that wait for a batch now");
  waiting.Add(static_cast<double>(sources_.waiting_images()));
  families.push_back(std::move(waiting).Take());
  GaugeFamily predicted(
      "cytopress_classify_predicted_seconds",
      "What an image that comes now is predicted to take; requests whose deadline "
      "is sooner are refused");
  for (const auto& [model, seconds] : sources_.predicted_seconds()) {
    predicted.Add(absl::ToDoubleSeconds(seconds),
                  {{"model", model.name}, {"version", absl::StrCat(model.version)}});
  }
  families.push_back(std::move(predicted).Take());
  GaugeFamily margin("cytopress_classify_prediction_margin_ratio",
                     "How much longer than usual a request is predicted to take, so that what is "
                     "admitted is answered in time");
  margin.Add(sources_.prediction_margin());
  families.push_back(std::move(margin).Take());
  cached_ = std::move(families);
}

void StateMetrics::ReadLedger() const {
  for (int page = 0; !caught_up_ || page < kMaxLedgerPages; ++page) {
    const auto lines = sources_.jobs->LedgerSince(last_ledger_line_);
    if (!lines.ok()) return Warn("the ledger", lines.status());
    if (lines->empty()) {
      caught_up_ = true;
      return;
    }
    last_ledger_line_ = lines->back().first;
    if (!caught_up_) continue;
    for (const auto& [number, line] : *lines) {
      const prometheus::Labels labels = {{"stage", StageLabel(line.kind())}};
      stage_seconds_.Add(labels, StageBuckets()).Observe(line.seconds());
      if (line.images_per_second() > 0) {
        training_speed_.Add(labels).Set(line.images_per_second());
      }
    }
  }
}

void StateMetrics::CollectJobs(Families* families) const {
  const absl::StatusOr<QueueStats> stats = sources_.jobs->Stats();
  if (!stats.ok()) return Warn("the queue", stats.status());
  GaugeFamily jobs("cytopress_jobs", "Jobs in the database, by state");
  for (const v1::JobState state : AllJobStates()) {
    const auto it = stats->jobs_by_state.find(state);
    const int64_t count = it == stats->jobs_by_state.end() ? 0 : it->second;
    jobs.Add(static_cast<double>(count), {{"state", std::string(StateName(state))}});
  }
  GaugeFamily depth("cytopress_job_queue_depth", "Jobs that no worker has taken");
  depth.Add(static_cast<double>(stats->depth));
  GaugeFamily oldest("cytopress_job_queue_oldest_age_seconds",
                     "Age of the oldest job that no worker has taken; 0 without any");
  oldest.Add(stats->depth == 0 ? 0.0 : std::max(0.0, absl::ToDoubleSeconds(stats->oldest_age)));
  families->push_back(std::move(jobs).Take());
  families->push_back(std::move(depth).Take());
  families->push_back(std::move(oldest).Take());
}

void StateMetrics::CollectWorkers(Families* families) const {
  const absl::StatusOr<std::vector<WorkerInfo>> workers = sources_.jobs->ListWorkers();
  if (!workers.ok()) return Warn("the workers", workers.status());
  GaugeFamily up("cytopress_worker_up", "1 while the worker's heartbeat is fresh");
  const absl::Time now = sources_.clock->Now();
  for (const WorkerInfo& worker : *workers) {
    const absl::Duration silent = now - worker.last_seen;
    if (silent > kForgetWorkerAfter) continue;
    up.Add(silent <= LeaseTimes().worker_is_up_for() ? 1 : 0,
           {{"worker", worker.name}, {"device", worker.device}});
  }
  families->push_back(std::move(up).Take());
}

void StateMetrics::CollectModels(Families* families) const {
  const absl::StatusOr<std::vector<v1::Model>> models = sources_.models->List();
  if (!models.ok()) return Warn("the models", models.status());
  const std::vector<ModelVersion> loaded = sources_.loaded_models();
  GaugeFamily accuracy("cytopress_model_accuracy_ratio", "Share of images classified rightly");
  GaugeFamily auc("cytopress_model_auc_ratio",
                  "Area under the ROC curve, mean over one class against the rest");
  GaugeFamily sparsity("cytopress_model_sparsity_ratio",
                       "Share of the prunable weights that are zero");
  GaugeFamily bytes("cytopress_model_disk_bytes", "Size of the model's file");
  GaugeFamily in_memory("cytopress_model_loaded", "1 while the model is in memory");
  for (const v1::Model& model : *models) {
    const Labels labels = {{"model", model.name()}, {"version", absl::StrCat(model.version())}};
    sparsity.Add(model.size().sparsity(), labels);
    bytes.Add(static_cast<double>(model.size().disk_bytes()), labels);
    const ModelVersion version = VersionOf(model);
    in_memory.Add(std::count(loaded.begin(), loaded.end(), version) > 0 ? 1 : 0, labels);
    for (const v1::Evaluation& evaluation : model.evaluations()) {
      Labels with_split = labels;
      with_split.push_back({"split", evaluation.split()});
      accuracy.Add(evaluation.accuracy(), with_split);
      auc.Add(evaluation.auc(), with_split);
    }
  }
  for (GaugeFamily* family : {&accuracy, &auc, &sparsity, &bytes, &in_memory}) {
    families->push_back(std::move(*family).Take());
  }
}

void StateMetrics::CollectDisk(Families* families) const {
  struct statvfs disk = {};
  if (statvfs(sources_.state_folder.c_str(), &disk) != 0) {
    return Warn("the free disk space", absl::ErrnoToStatus(errno, sources_.state_folder));
  }
  GaugeFamily free("cytopress_state_free_bytes",
                   "Room on the disk of the state folder that the server may use");
  free.Add(static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize));
  families->push_back(std::move(free).Take());
}

}  // namespace cytopress
