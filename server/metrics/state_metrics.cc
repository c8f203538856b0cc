#include "server/metrics/state_metrics.h"

#include <spdlog/spdlog.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"
#include "core/jobs/lease_times.h"
#include "server/metrics/families.h"

namespace cytopress {
namespace {

// A worker that is gone for good should not be shown as down for ever.
constexpr absl::Duration kForgetWorkerAfter = absl::Minutes(15);
// Pages of the ledger that one reading takes at most; the next goes on from there.
constexpr int kMaxLedgerPages = 20;

const prometheus::Histogram::BucketBoundaries& StageBuckets() {
  static const auto* const buckets = new prometheus::Histogram::BucketBoundaries{
      1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400};
  return *buckets;
}

// Of a ledger line: "fine-tune" of STAGE_KIND_FINE_TUNE.
std::string StageLabel(v1::StageKind kind) {
  constexpr size_t kPrefix = sizeof("STAGE_KIND_") - 1;
  const std::string name = v1::StageKind_IsValid(kind) ? v1::StageKind_Name(kind) : "";
  if (name.size() <= kPrefix) return "unknown";  // of a newer worker
  return absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(kPrefix)), {{"_", "-"}});
}

Labels LabelsOf(const ModelVersion& model) {
  return {{"model", model.name}, {"version", absl::StrCat(model.version)}};
}

absl::Status CollectModels(const ModelRegistry& registry, StateReading* reading) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<v1::Model> models, registry.List());
  GaugeFamily accuracy("cytopress_model_accuracy_ratio", "Share of images classified rightly");
  GaugeFamily auc("cytopress_model_auc_ratio",
                  "Area under the ROC curve, mean over one class against the rest");
  GaugeFamily sparsity("cytopress_model_sparsity_ratio",
                       "Share of the prunable weights that are zero");
  GaugeFamily bytes("cytopress_model_disk_bytes", "Size of the model's file");
  for (const v1::Model& model : models) {
    reading->models.push_back(VersionOf(model));
    const Labels labels = LabelsOf(VersionOf(model));
    sparsity.Add(model.size().sparsity(), labels);
    bytes.Add(static_cast<double>(model.size().disk_bytes()), labels);
    for (const v1::Evaluation& evaluation : model.evaluations()) {
      Labels with_split = labels;
      with_split.push_back({"split", evaluation.split()});
      accuracy.Add(evaluation.accuracy(), with_split);
      auc.Add(evaluation.auc(), with_split);
    }
  }
  for (GaugeFamily* family : {&accuracy, &auc, &sparsity, &bytes}) {
    reading->families.push_back(std::move(*family).Take());
  }
  return absl::OkStatus();
}

absl::Status CollectDisks(const std::string& state_folder, const std::string& models_folder,
                          StateReading* reading) {
  GaugeFamily free("cytopress_state_free_bytes",
                   "Room on the disk of that folder that the server may use");
  absl::Status status;
  for (const auto& [label, folder] :
       {std::pair("state", state_folder), std::pair("models", models_folder)}) {
    struct statvfs disk = {};
    if (statvfs(folder.c_str(), &disk) == 0) {
      free.Add(static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize),
               {{"folder", label}});
    } else {
      status.Update(ErrnoStatus("cannot look at the disk of", folder));
    }
  }
  reading->families.push_back(std::move(free).Take());
  return status;
}

// A reading of folders that owns what it uses: a disk of the network may hang for ever.
std::function<StateReading()> FolderReading(const StateSources& sources) {
  return [models = *sources.models, state_folder = sources.state_folder,
          models_folder = sources.models_folder] {
    StateReading reading;
    reading.Note("models", CollectModels(models, &reading));
    reading.Note("disk", CollectDisks(state_folder, models_folder, &reading));
    return reading;
  };
}

}  // namespace

StateMetrics::StateMetrics(StateSources sources, absl::Duration patience)
    : sources_(std::move(sources)),
      patience_(patience),
      stage_seconds_(prometheus::BuildHistogram()
                         .Name("cytopress_stage_seconds")
                         .Help("How long a stage of a job took, of those that have ended since the "
                               "server started")
                         .Register(counted_)),
      training_speed_(prometheus::BuildGauge()
                          .Name("cytopress_training_images_per_second")
                          .Help("Training speed of the stage of that name that was last reported")
                          .Register(counted_)),
      database_(
          {"ledger", "jobs", "workers"}, [this] { return ReadDatabase(); }, sources_.clock,
          absl::InfiniteDuration()),
      folders_({"models", "disk"}, FolderReading(sources_), sources_.clock, patience) {
  const absl::Status status = ReadLedger();
  if (!status.ok()) spdlog::warn("metrics: cannot read the ledger: {}", status.ToString());
}

std::vector<prometheus::MetricFamily> StateMetrics::Collect() const {
  database_.Ask();
  folders_.Ask();
  const absl::Duration give_up = sources_.clock->Steady() + patience_;
  Families families;
  GaugeFamily readable("cytopress_state_readable",
                       "1 where the server could read it for these metrics, else 0");
  std::vector<ModelVersion> published;
  for (StateReader* const reader : {&database_, &folders_}) {
    StateReading reading =
        reader->Get(std::max(absl::ZeroDuration(), give_up - sources_.clock->Steady()));
    std::move(reading.families.begin(), reading.families.end(), std::back_inserter(families));
    for (const auto& [what, could_be_read] : reading.readable) {
      readable.Add(could_be_read ? 1 : 0, {{"what", what}});
    }
    if (!reading.models.empty()) published = std::move(reading.models);
  }
  families.push_back(std::move(readable).Take());
  Families counted = counted_.Collect();
  std::move(counted.begin(), counted.end(), std::back_inserter(families));
  CollectServing(published, &families);
  return families;
}

StateReading StateMetrics::ReadDatabase() const {
  StateReading reading;
  absl::Status database = ReadLedger();
  reading.Note("ledger", database);
  // A database that does not answer makes each question wait: one is enough for a reading.
  const auto ask = [&](const char* what, absl::Status (StateMetrics::*collect)(Families*) const) {
    if (absl::IsUnavailable(database)) return reading.Skip(what, database);
    database = (this->*collect)(&reading.families);
    reading.Note(what, database);
  };
  ask("jobs", &StateMetrics::CollectJobs);
  ask("workers", &StateMetrics::CollectWorkers);
  return reading;
}

void StateMetrics::CollectServing(const std::vector<ModelVersion>& published,
                                  Families* families) const {
  const std::vector<ModelVersion> loaded = sources_.loaded_models();
  GaugeFamily in_memory("cytopress_model_loaded", "1 while the model is in memory");
  for (const ModelVersion& model : published) {
    in_memory.Add(std::count(loaded.begin(), loaded.end(), model) > 0 ? 1 : 0, LabelsOf(model));
  }
  families->push_back(std::move(in_memory).Take());
  GaugeFamily waiting("cytopress_classify_queue_depth",
                      "Images admitted that wait for a batch now");
  waiting.Add(static_cast<double>(sources_.waiting_images()));
  families->push_back(std::move(waiting).Take());
  GaugeFamily predicted(
      "cytopress_classify_predicted_seconds",
      "What an image that comes now is predicted to take; requests whose deadline "
      "is sooner are refused");
  for (const auto& [model, seconds] : sources_.predicted_seconds()) {
    predicted.Add(absl::ToDoubleSeconds(seconds), LabelsOf(model));
  }
  families->push_back(std::move(predicted).Take());
  GaugeFamily margin("cytopress_classify_prediction_margin_ratio",
                     "How much longer than usual a request is predicted to take, so that what is "
                     "admitted is answered in time");
  margin.Add(sources_.prediction_margin());
  families->push_back(std::move(margin).Take());
}

absl::Status StateMetrics::ReadLedger() const {
  if (!last_ledger_line_.has_value()) {
    CYTOPRESS_ASSIGN_OR_RETURN(last_ledger_line_, sources_.jobs->LastLedgerLine());
    return absl::OkStatus();
  }
  for (int page = 0; page < kMaxLedgerPages; ++page) {
    const auto lines = sources_.jobs->LedgerSince(*last_ledger_line_);
    CYTOPRESS_RETURN_IF_ERROR(lines.status());
    if (lines->empty()) return absl::OkStatus();
    last_ledger_line_ = lines->back().first;
    for (const auto& [number, line] : *lines) {
      const prometheus::Labels labels = {{"stage", StageLabel(line.kind())}};
      stage_seconds_.Add(labels, StageBuckets()).Observe(line.seconds());
      if (line.images_per_second() > 0) {
        training_speed_.Add(labels).Set(line.images_per_second());
      }
    }
  }
  return absl::OkStatus();
}

absl::Status StateMetrics::CollectJobs(Families* families) const {
  CYTOPRESS_ASSIGN_OR_RETURN(const QueueStats stats, sources_.jobs->Stats());
  GaugeFamily jobs("cytopress_jobs", "Jobs in the database, by state");
  for (const v1::JobState state : AllJobStates()) {
    const auto it = stats.jobs_by_state.find(state);
    const int64_t count = it == stats.jobs_by_state.end() ? 0 : it->second;
    jobs.Add(static_cast<double>(count), {{"state", std::string(StateName(state))}});
  }
  GaugeFamily depth("cytopress_job_queue_depth", "Jobs that no worker has taken");
  depth.Add(static_cast<double>(stats.depth));
  GaugeFamily oldest("cytopress_job_queue_oldest_age_seconds",
                     "How long ago the oldest queued job was submitted; 0 without any");
  oldest.Add(std::max(0.0, absl::ToDoubleSeconds(stats.oldest_age)));
  families->push_back(std::move(jobs).Take());
  families->push_back(std::move(depth).Take());
  families->push_back(std::move(oldest).Take());
  return absl::OkStatus();
}

absl::Status StateMetrics::CollectWorkers(Families* families) const {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<WorkerInfo> workers, sources_.jobs->ListWorkers());
  GaugeFamily up("cytopress_worker_up", "1 while the worker's heartbeat is fresh");
  const absl::Time now = sources_.clock->Now();
  for (const WorkerInfo& worker : workers) {
    const absl::Duration silent = now - worker.last_seen;
    if (silent > kForgetWorkerAfter) continue;
    up.Add(silent <= LeaseTimes().worker_is_up_for() ? 1 : 0,
           {{"worker", worker.name}, {"device", worker.device}});
  }
  families->push_back(std::move(up).Take());
  return absl::OkStatus();
}

}  // namespace cytopress
