#include "server/supervisor/worker_supervisor.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/backoff.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/supervisor/cores.h"
#include "server/supervisor/worker_process.h"
#include "server/worker/checkpoint_folders.h"
#include "server/worker/process_lock.h"

namespace cytopress {
namespace {

constexpr absl::Duration kExitPoll = absl::Milliseconds(10);
constexpr int kNice = 10;                   // requests come first
constexpr int64_t kMaxLogBytes = 10 << 20;  // of a slot's log when a process starts

}  // namespace

WorkerSupervisor::WorkerSupervisor(const SupervisorOptions& options, JobStore* store, Clock* clock)
    : options_(options), store_(store), clock_(clock) {
  for (int i = 1; i <= options_.workers; ++i) {
    Slot slot;
    slot.info.name = absl::StrCat(options_.name_prefix, "-", i);
    slots_.push_back(slot);
  }
  Publish();
}

WorkerSupervisor::~WorkerSupervisor() { Stop(); }

absl::Status WorkerSupervisor::Start() {
  if (options_.workers < 0 || options_.workers > kMaxWorkers) {
    return absl::InvalidArgumentError(
        absl::StrCat("workers: ", options_.workers, " is not between 0 and ", kMaxWorkers));
  }
  if (options_.workers > 0 && access(options_.worker_program.c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("worker program ", options_.worker_program,
                                            ": no program can be started there; give its path, or "
                                            "0 workers"));
  }
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(options_.work_folder));
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(options_.log_folder));
  thread_ = std::thread([this] { Supervise(); });
  return absl::OkStatus();
}

void WorkerSupervisor::BeginStop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_up_.Notify();
}

void WorkerSupervisor::Stop() {
  BeginStop();
  if (thread_.joinable()) thread_.join();
}

void WorkerSupervisor::Notify() { wake_up_.Notify(); }

std::vector<SlotInfo> WorkerSupervisor::Slots() const {
  absl::MutexLock lock(&mutex_);
  return published_;
}

void WorkerSupervisor::Publish() {
  absl::MutexLock lock(&mutex_);
  published_.clear();
  for (const Slot& slot : slots_) published_.push_back(slot.info);
}

bool WorkerSupervisor::WaitForNextTick() {
  wake_up_.WaitFor(options_.times.poll);
  wake_up_.Reset();
  absl::MutexLock lock(&mutex_);
  return !stopping_;
}

void WorkerSupervisor::Supervise() {
  // Workers elsewhere may have been without a database as long as there was no server.
  next_reap_ = clock_->Steady() + options_.times.lease;
  do {
    Tick();
    Publish();
  } while (WaitForNextTick());
  EndWorkers();
  Publish();
}

void WorkerSupervisor::Tick() {
  for (Slot& slot : slots_) {
    if (slot.info.pid != 0) SeeOffEnded(&slot);
    if (slot.orphaned) AdoptOrphan(&slot);
    if (slot.needs_reap) Reap(&slot);
  }
  ReapExpired();
  BeatForEmptySlots();
  CleanUp();
  StartNeeded();
}

void WorkerSupervisor::SeeOffEnded(Slot* slot) {
  const std::optional<ProcessExit> exit = PollExit(slot->info.pid);
  if (!exit.has_value()) return;
  NoteExit(exit->ToString(), !exit->ok(), slot);
}

void WorkerSupervisor::NoteExit(std::string how, bool crashed, Slot* slot) {
  const absl::Duration now = clock_->Steady();
  const bool ran_long = now - slot->started_at > options_.last_backoff;
  slot->info.pid = 0;
  slot->needs_reap = true;
  slot->cannot_work = crashed && !ran_long;
  slot->info.crashes = !crashed ? 0 : ran_long ? 1 : slot->info.crashes + 1;
  slot->start_after =
      now + BackoffAfter(slot->info.crashes, options_.first_backoff, options_.last_backoff);
  next_beat_ = now;  // the slot is empty: say so at once
  const std::string words = LastWords(LogOf(*slot), slot->log_bytes);
  if (!words.empty()) absl::StrAppend(&how, ": ", words);
  if (!crashed) {
    spdlog::info("worker {}: {}", slot->info.name, how);
    slot->why_crashed.clear();
    return;
  }
  // One that cannot work is started for ever; its reason is logged once.
  const bool is_news = ran_long || how != slot->why_crashed;
  const auto level = !is_news                   ? spdlog::level::debug
                     : ran_long || slot->killed ? spdlog::level::warn
                                                : spdlog::level::err;
  spdlog::log(level, "worker {}: {}; its log is {}; next start in {} at the earliest",
              slot->info.name, how, LogOf(*slot), absl::FormatDuration(slot->start_after - now));
  slot->why_crashed = std::move(how);
}

void WorkerSupervisor::Reap(Slot* slot) {
  const std::string& name = slot->info.name;
  const absl::StatusOr<std::vector<std::string>> ids =
      slot->killed ? store_->ReleaseWorker(name) : store_->ReapWorker(name);
  if (store_log_.Failed(ids.status())) return;
  slot->needs_reap = false;
  if (!ids->empty()) {
    slot->cannot_work = false;
    slot->why_crashed.clear();
  }
  for (const std::string& id : *ids) {
    spdlog::warn("worker {} ended with job {} in hand: the job is taken back", name, id);
    RemoveIfEnded(options_.work_folder, id, store_).IgnoreError();  // CleanUp comes, too
  }
}

void WorkerSupervisor::AdoptOrphan(Slot* slot) {
  // Whoever gets the lock knows that the worker of an earlier server is dead.
  const absl::Status taken = ProcessLock::Take(options_.work_folder, slot->info.name).status();
  if (!taken.ok()) {
    const std::string why =
        absl::IsAlreadyExists(taken) ? "one of an earlier server has yet to end" : taken.ToString();
    if (why != slot->why_orphaned) spdlog::warn("worker {} waits: {}", slot->info.name, why);
    slot->why_orphaned = why;
    return;
  }
  slot->orphaned = false;
  slot->needs_reap = true;
}

bool WorkerSupervisor::TimeHasJumped() {
  const absl::Time now = clock_->Now();
  const absl::Duration passed = now - last_look_;
  last_look_ = now;
  // Leases have two thirds of their length left when they are renewed (LeaseTimes::renew_after), so
  // less than this lets none expire.
  return passed > options_.times.lease / 2;
}

void WorkerSupervisor::ReapExpired() {
  const bool jumped = TimeHasJumped();
  const absl::Duration now = clock_->Steady();
  // The machine was suspended, or its clock was set: leases have expired by the wall clock, and
  // workers that are alive and well have yet to renew them, by the steady one.
  if (jumped) next_reap_ = now + options_.times.lease;
  if (now < next_reap_) return;
  next_reap_ = now + options_.reap_interval;
  const absl::StatusOr<std::vector<std::string>> ids = store_->ReapExpired();
  if (!ids.ok())
    next_reap_ = now + options_.times.lease;  // nobody else could reach the store either
  if (store_log_.Failed(ids.status())) return;
  for (const std::string& id : *ids) spdlog::warn("the lease of job {} has expired", id);
}

void WorkerSupervisor::CleanUp() {
  const absl::Duration now = clock_->Steady();
  if (now < next_cleaning_) return;
  next_cleaning_ = now + kCleaningInterval;
  RemoveLeftovers(options_.work_folder, store_);
}

void WorkerSupervisor::BeatForEmptySlots() {
  const absl::Duration now = clock_->Steady();
  if (now < next_beat_) return;
  next_beat_ = now + options_.times.heartbeat;
  for (const Slot& slot : slots_) {
    if (slot.info.pid != 0 || slot.orphaned || slot.needs_reap || slot.cannot_work) continue;
    // A database that does not answer makes each heartbeat wait: one is enough.
    if (store_log_.Failed(store_->Heartbeat(slot.info.name, options_.device, ""))) return;
  }
}

bool WorkerSupervisor::CanStart(const Slot& slot) const {
  return slot.info.pid == 0 && !slot.orphaned && !slot.needs_reap &&
         clock_->Steady() >= slot.start_after;
}

absl::StatusOr<int64_t> WorkerSupervisor::Wanted() {
  CYTOPRESS_ASSIGN_OR_RETURN(int64_t wanted, store_->QueuedFor(options_.device));
  if (wanted == 0) return 0;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<WorkerInfo> workers, store_->ListWorkers());
  std::set<std::string> busy;
  for (const WorkerInfo& worker : workers) {
    if (!worker.job_id.empty()) busy.insert(worker.name);
  }
  for (const Slot& slot : slots_) {
    if (slot.info.pid != 0 && busy.count(slot.info.name) == 0) --wanted;
  }
  return wanted;
}

void WorkerSupervisor::StartNeeded() {
  if (std::none_of(slots_.begin(), slots_.end(),
                   [&](const Slot& slot) { return CanStart(slot); })) {
    return;
  }
  const absl::StatusOr<int64_t> wanted = Wanted();
  if (store_log_.Failed(wanted.status())) return;
  int64_t left = *wanted;
  for (Slot& slot : slots_) {
    if (left <= 0) return;
    if (!CanStart(slot)) continue;
    StartWorker(&slot);
    --left;
  }
}

std::string WorkerSupervisor::LogOf(const Slot& slot) const {
  return absl::StrCat(options_.log_folder, "/worker-", slot.info.name, ".log");
}

void WorkerSupervisor::StartWorker(Slot* slot) {
  // More threads than cores would wait for each other: two evaluations at a time, of 16 threads
  // each on 16 cores, took ten times as long as one.
  const std::vector<int>& cores = options_.cores.empty() ? OtherCores({}) : options_.cores;
  const int threads = std::max(1, static_cast<int>(cores.size()) / options_.workers);
  ProcessOptions process;
  process.command = {
      options_.worker_program, "--database", options_.database_url, "--models",
      options_.models_folder,  "--work",     options_.work_folder,  "--device",
      options_.device,         "--threads",  absl::StrCat(threads), "--name",
      slot->info.name,         "--once",     "--die-with-parent",   absl::StrCat(getpid())};
  process.log_path = LogOf(*slot);
  std::error_code error;
  const uintmax_t log_bytes = std::filesystem::file_size(process.log_path, error);
  slot->log_bytes = error ? 0 : static_cast<int64_t>(log_bytes);
  process.max_log_bytes = kMaxLogBytes;
  process.nice = kNice;
  process.batch = true;
  process.cores = options_.cores;
  slot->started_at = clock_->Steady();
  ++slot->info.started;
  const absl::StatusOr<pid_t> pid = StartProcess(process);
  if (!pid.ok()) {
    NoteExit(pid.status().ToString(), true, slot);
    return;
  }
  slot->info.pid = *pid;
  spdlog::info("worker {}: process {} started", slot->info.name, *pid);
}

void WorkerSupervisor::EndWorkers() {
  for (const Slot& slot : slots_) {
    if (slot.info.pid != 0) kill(slot.info.pid, SIGTERM);
  }
  const absl::Duration give_up = clock_->Steady() + options_.shutdown_grace;
  bool killed = false;
  while (true) {
    for (Slot& slot : slots_) {
      if (slot.info.pid != 0) SeeOffEnded(&slot);
    }
    if (std::all_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.info.pid == 0; })) {
      break;
    }
    if (!killed && clock_->Steady() >= give_up) {
      for (Slot& slot : slots_) {
        if (slot.info.pid == 0) continue;
        slot.killed = true;
        spdlog::warn("worker {} did not stop in time", slot.info.name);
        kill(slot.info.pid, SIGKILL);
      }
      killed = true;
    }
    absl::SleepFor(kExitPoll);
  }
  for (Slot& slot : slots_) {
    if (slot.needs_reap) Reap(&slot);
  }
}

}  // namespace cytopress
