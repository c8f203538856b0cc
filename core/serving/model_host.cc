#include "core/serving/model_host.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/backoff.h"
#include "core/base/memory.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr absl::Duration kTickInterval = absl::Seconds(5);
constexpr absl::Duration kLongestRetryFailedAfter = absl::Minutes(5);

absl::Status WhyDrop(const WaitLimits& limits, absl::Duration now) {
  // Asked first: gRPC cancels what has expired.
  if (now >= limits.deadline) {
    return absl::DeadlineExceededError("the deadline passed before the model was loaded");
  }
  if (limits.cancelled != nullptr && *limits.cancelled) {
    return absl::CancelledError("the request was cancelled before the model was loaded");
  }
  return absl::OkStatus();
}

// Whether the same file may be loaded at another time.
bool MayPass(const absl::Status& failure) {
  switch (failure.code()) {
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kNotFound:
      return false;
    default:
      return true;
  }
}

}  // namespace

// What the handles of a model share. It goes with the last of them, and the host gets the model.
struct ModelHost::Lent {
  explicit Lent(ModelHost* host) : host(host) {}
  ~Lent() {
    if (model != nullptr) host->Retire(std::move(model));
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  ModelHost* const host;
  std::unique_ptr<ServedModel> model;
};

ModelHost::ModelHost(const ModelHostOptions& options, ModelLoader* loader, ModelHostEvents events,
                     Clock* clock)
    : options_(options), loader_(loader), events_(std::move(events)), clock_(clock) {
  thread_ = std::thread([this] { Run(); });
}

ModelHost::~ModelHost() {
  Entries entries;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    to_load_.clear();
    entries.swap(entries_);
    wake_up_.Notify();
  }
  for (auto& [version, entry] : entries) {
    for (const Waiting& waiting : entry.waiting) {
      waiting.on_loaded(absl::CancelledError("the server is shutting down"));
    }
  }
  entries.clear();
  thread_.join();
}

ModelHandle ModelHost::Acquire(const ModelVersion& version, OnLoaded on_loaded, WaitLimits limits) {
  return Get(version, Want::kThisVersion, {std::move(on_loaded), std::move(limits)});
}

ModelHandle ModelHost::AcquireNewest(const ModelVersion& newest, OnLoaded on_loaded,
                                     WaitLimits limits) {
  return Get(newest, Want::kNewestOrStandIn, {std::move(on_loaded), std::move(limits)});
}

ModelHandle ModelHost::AwaitNewest(const ModelVersion& newest, OnLoaded on_loaded) {
  return Get(newest, Want::kNewest, {std::move(on_loaded), {}});
}

ModelHandle ModelHost::Get(const ModelVersion& version, Want want, Waiting waiting) {
  absl::Status failure;
  std::vector<ModelHandle> replaced;  // let go of without the lock
  {
    absl::MutexLock lock(&mutex_);
    const absl::Duration now = clock_->Steady();
    Entry& entry = entries_[version];
    entry.last_used = now;
    entry.unwanted = false;
    const bool takes_over = want != Want::kThisVersion && !entry.as_newest;
    (want == Want::kThisVersion ? entry.pinned : entry.as_newest) = true;
    if (entry.model != nullptr) {
      if (takes_over) replaced = TakeOver(version);
      return entry.model;
    }
    if (!entry.loading && MayLoad(entry, now)) {
      to_load_.push_back(version);
      entry.loading = true;
      wake_up_.Notify();
    }
    if (want == Want::kNewestOrStandIn) {
      waiting.takes_stand_in = true;
      ModelHandle stand_in = NewestLoaded(version.name);
      if (stand_in != nullptr) {
        entries_[stand_in->version].last_used = now;
        return stand_in;
      }
    }
    Entry* const awaited = entry.loading            ? &entry
                           : waiting.takes_stand_in ? StandInToCome(version.name)
                                                    : nullptr;
    if (awaited != nullptr) {
      awaited->waiting.push_back(std::move(waiting));
      return nullptr;
    }
    failure = entry.failure;
  }
  waiting.on_loaded(failure);
  return nullptr;
}

bool ModelHost::MayLoad(const Entry& entry, absl::Duration now) const {
  if (entry.failure.ok()) return true;
  const absl::Duration delay =
      BackoffAfter(entry.failures, options_.retry_failed_after, kLongestRetryFailedAfter);
  return now - entry.failed_at >= delay && (HasRoom() || MayPass(entry.failure));
}

ModelHandle ModelHost::NewestLoaded(const std::string& name) const {
  ModelHandle newest;
  for (auto it = entries_.lower_bound({name, 0}); it != entries_.end() && it->first.name == name;
       ++it) {
    if (it->second.model != nullptr) newest = it->second.model;
  }
  return newest;
}

ModelHost::Entry* ModelHost::StandInToCome(const std::string& name) {
  Entry* newest = nullptr;
  for (auto it = entries_.lower_bound({name, 0}); it != entries_.end() && it->first.name == name;
       ++it) {
    if (it->second.loading) newest = &it->second;
  }
  return newest;
}

ModelHandle ModelHost::Find(const ModelVersion& version) const {
  absl::MutexLock lock(&mutex_);
  if (version.version == 0) return NewestLoaded(version.name);
  const auto it = entries_.find(version);
  return it == entries_.end() ? nullptr : it->second.model;
}

std::vector<ModelHandle> ModelHost::TakeOver(const ModelVersion& newest) {
  std::vector<ModelHandle> replaced;
  for (auto it = entries_.lower_bound({newest.name, 0});
       it != entries_.end() && it->first.name == newest.name;) {
    Entry& entry = it->second;
    const bool is_other = !(it->first == newest);
    if (is_other) entry.as_newest = false;
    const bool drop = is_other && entry.model != nullptr && !entry.pinned;
    if (drop) replaced.push_back(std::move(entry.model));
    it = drop ? entries_.erase(it) : std::next(it);
  }
  return replaced;
}

void ModelHost::Unload(const ModelVersion& version) {
  ModelHandle victim;
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(version);
  if (it == entries_.end()) return;
  if (it->second.loading) {
    it->second.unwanted = true;
    return;
  }
  victim = std::move(it->second.model);
  entries_.erase(it);
  // `victim` was declared before the lock: it is let go of after it.
}

void ModelHost::DropWaiting() {
  std::vector<std::pair<OnLoaded, absl::Status>> dropped;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Duration now = clock_->Steady();
    const auto is_pointless = [&](Waiting& waiting) {
      absl::Status why = WhyDrop(waiting.limits, now);
      const bool drop = !why.ok();
      if (drop) dropped.emplace_back(std::move(waiting.on_loaded), std::move(why));
      return drop;
    };
    for (auto& [version, entry] : entries_) {
      entry.waiting.erase(std::remove_if(entry.waiting.begin(), entry.waiting.end(), is_pointless),
                          entry.waiting.end());
    }
  }
  for (const auto& [on_loaded, why] : dropped) on_loaded(why);
}

void ModelHost::UnloadIdle() {
  std::vector<ModelHandle> victims;
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_->Steady();
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    const bool failed_long_ago =
        !entry.failure.ok() && !entry.loading && now - entry.last_used >= kLongestRetryFailedAfter;
    const bool idle = entry.model != nullptr && entry.model.use_count() == 1 &&
                      now - entry.last_used >= options_.unload_idle_after;
    if (idle) victims.push_back(std::move(entry.model));
    it = idle || failed_long_ago ? entries_.erase(it) : std::next(it);
  }
}

std::vector<ModelVersion> ModelHost::Loaded() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ModelVersion> loaded;
  for (const auto& [version, entry] : entries_) {
    if (entry.model != nullptr) loaded.push_back(version);
  }
  return loaded;
}

void ModelHost::Retire(std::unique_ptr<ServedModel> model) {
  absl::MutexLock lock(&mutex_);
  retired_.push_back(std::move(model));
  wake_up_.Notify();  // under the lock: without it the host may be gone
}

int64_t ModelHost::offered() const {
  return std::count_if(entries_.begin(), entries_.end(),
                       [](const auto& item) { return item.second.model != nullptr; });
}

bool ModelHost::HasWork() const {
  if (!retired_.empty()) return true;
  if (stopping_) return alive_ == 0;
  // Without room, and with every model that could make room given up already, there is nothing to
  // do but to wait until requests let go of one.
  return !to_load_.empty() && (HasRoom() || alive_ == offered());
}

void ModelHost::WaitForWork() {
  wake_up_.Reset();
  {
    absl::MutexLock lock(&mutex_);
    if (HasWork()) return;
  }
  wake_up_.WaitFor(kTickInterval);
}

void ModelHost::Run() {
  absl::Duration last_tick = clock_->Steady();
  while (true) {
    WaitForWork();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ && alive_ == 0) return;
    }
    DestroyRetired();
    UnloadIdle();
    SkipOvertaken();
    MakeRoom();
    LoadNext();
    if (clock_->Steady() - last_tick >= kTickInterval) {
      last_tick = clock_->Steady();
      DropWaiting();
      events_.on_tick();
    }
  }
}

void ModelHost::DestroyRetired() {
  std::vector<std::unique_ptr<ServedModel>> retired;
  {
    absl::MutexLock lock(&mutex_);
    retired.swap(retired_);
  }
  if (retired.empty()) return;
  const int64_t count = static_cast<int64_t>(retired.size());
  for (std::unique_ptr<ServedModel>& model : retired) {
    const ModelVersion version = model->version;
    spdlog::info("unloading {}", ToString(version));
    model.reset();
    events_.on_unloaded(version);
  }
  ReturnFreedMemory();
  absl::MutexLock lock(&mutex_);
  alive_ -= count;
}

void ModelHost::SkipOvertaken() {
  while (true) {
    ModelVersion next;
    {
      absl::MutexLock lock(&mutex_);
      if (to_load_.empty()) return;
      next = to_load_.front();
    }
    const absl::StatusOr<ModelVersion> newest = loader_->Resolve({next.name, 0});
    if (absl::IsUnavailable(newest.status())) {
      GiveUpNext(newest.status());
      continue;
    }
    absl::MutexLock lock(&mutex_);
    if (to_load_.empty()) return;  // the host ends
    const Entry& entry = entries_[next];
    if (entry.pinned || !entry.waiting.empty() || (newest.ok() && *newest == next)) return;
    entries_.erase(next);
    to_load_.pop_front();
  }
}

void ModelHost::GiveUpNext(const absl::Status& why) {
  std::vector<Waiting> waiting;
  {
    absl::MutexLock lock(&mutex_);
    if (to_load_.empty()) return;  // the host ends
    const auto next = entries_.find(to_load_.front());
    to_load_.pop_front();
    next->second.loading = false;
    waiting.swap(next->second.waiting);
    // One that has failed before still waits for its next try.
    if (next->second.failure.ok()) entries_.erase(next);
  }
  for (const Waiting& waits : waiting) waits.on_loaded(why);
}

void ModelHost::MakeRoom() {
  ModelHandle victim;
  std::vector<Waiting> waiting;
  absl::Status failure;
  {
    absl::MutexLock lock(&mutex_);
    if (to_load_.empty() || HasRoom() || alive_ != offered()) return;
    Entry& next = entries_[to_load_.front()];
    const auto best = Victim(to_load_.front());
    if (best != entries_.end()) {
      const bool stood_in = next.as_newest && best->first.name == to_load_.front().name;
      next.replaces = stood_in ? best->first.version : 0;
      victim = std::move(best->second.model);
      entries_.erase(best);
      return;
    }
    // There was room when it was asked for.
    to_load_.pop_front();
    next.loading = false;
    waiting.swap(next.waiting);
    failure = next.failure;
  }
  for (const Waiting& waits : waiting) waits.on_loaded(failure);
}

ModelHost::Entries::iterator ModelHost::Victim(const ModelVersion& next) {
  const Entry& entry = entries_[next];
  if (!entry.failure.ok() && !MayPass(entry.failure)) return entries_.end();
  const ServedModel* const stand_in = entry.as_newest ? NewestLoaded(next.name).get() : nullptr;
  const auto stands_in = [&](const Entry& other) { return other.model.get() == stand_in; };
  // The least recently used; rather one that no request holds, and not the one that answers in its
  // place if there is another.
  const auto is_better = [&](const Entry& a, const Entry& b) {
    if (stands_in(a) != stands_in(b)) return stands_in(b);
    const bool a_free = a.model.use_count() == 1;
    const bool b_free = b.model.use_count() == 1;
    return a_free != b_free ? a_free : a.last_used < b.last_used;
  };
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second.model == nullptr) continue;
    if (best == entries_.end() || is_better(it->second, best->second)) best = it;
  }
  return best;
}

void ModelHost::LoadNext() {
  ModelVersion version;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ || to_load_.empty() || !HasRoom()) return;
    version = to_load_.front();
    to_load_.pop_front();
    ++alive_;
  }
  const absl::Duration start = clock_->Steady();
  absl::StatusOr<LoadedModel> loaded = loader_->Load(version);
  const std::string engine = loaded.ok() ? loaded->engines.at(0)->name() : "";
  const absl::StatusOr<ModelHandle> model = Serve(std::move(loaded));
  if (model.ok()) {
    spdlog::info("loaded {} ({}) in {:.0f} ms", ToString(version), engine,
                 absl::ToDoubleMilliseconds(clock_->Steady() - start));
  } else {
    spdlog::warn("cannot load {}: {}", ToString(version), std::string(model.status().message()));
  }
  Conclude(version, model);
  // What reading and packing took, often more than the model keeps.
  ReturnFreedMemory();
}

void ModelHost::Reload(const ModelVersion& replaced) {
  Entry& entry = entries_[replaced];
  if (entry.loading || NewestLoaded(replaced.name) != nullptr) return;
  entry.loading = true;
  entry.last_used = clock_->Steady();
  // Somebody waits for it, so that it is not taken for overtaken.
  entry.waiting.push_back({[](const absl::StatusOr<ModelHandle>&) {}, {}});
  to_load_.push_front(replaced);
}

void ModelHost::LetAwaitStandIn(const std::string& name, std::vector<Waiting>* waiting) {
  Entry* const coming = StandInToCome(name);
  if (coming == nullptr) return;
  const auto rest = std::stable_partition(
      waiting->begin(), waiting->end(), [](const Waiting& waits) { return !waits.takes_stand_in; });
  std::move(rest, waiting->end(), std::back_inserter(coming->waiting));
  waiting->erase(rest, waiting->end());
}

absl::StatusOr<ModelHandle> ModelHost::Serve(absl::StatusOr<LoadedModel> loaded) try {
  CYTOPRESS_RETURN_IF_ERROR(loaded.status());
  const auto on_batch = [this, version = loaded->version](int images, absl::Duration cpu) {
    events_.on_batch(version, images, cpu);
  };
  // All that may lack memory comes before there is a handle: what was one is retired, and must not
  // count as a failed load, too.
  const auto lent = std::make_shared<Lent>(this);
  lent->model = std::make_unique<ServedModel>(*std::move(loaded), on_batch, clock_);
  return ModelHandle(lent, lent->model.get());
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to serve the model");
} catch (const std::system_error& error) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no threads to serve the model: ", error.what()));
}

void ModelHost::Conclude(const ModelVersion& version, const absl::StatusOr<ModelHandle>& model) {
  const absl::Status& status = model.status();
  std::vector<Waiting> waiting;
  std::vector<ModelHandle> replaced;  // let go of without the lock
  {
    absl::MutexLock lock(&mutex_);
    if (!status.ok()) --alive_;
    if (!stopping_) {
      Entry& entry = entries_[version];
      waiting.swap(entry.waiting);
      entry.loading = false;
      entry.last_used = clock_->Steady();
      entry.model = status.ok() ? *model : nullptr;
      entry.failure = status;
      entry.failures = status.ok() ? 0 : entry.failures + 1;
      entry.failed_at = entry.last_used;
      if (status.ok() && entry.as_newest) replaced = TakeOver(version);
      const int64_t made_room = std::exchange(entry.replaces, 0);
      if (!status.ok() && made_room != 0) {
        Reload({version.name, made_room});
        LetAwaitStandIn(version.name, &waiting);
      }
      if (entry.unwanted) entries_.erase(version);
    }
  }
  for (const Waiting& waits : waiting) waits.on_loaded(model);
}

}  // namespace cytopress
