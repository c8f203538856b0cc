// The thread of a ModelHost: who makes room, what is loaded, and what leaves memory.
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
#include "core/serving/model_host.h"

namespace cytopress {
namespace {

constexpr absl::Duration kTickInterval = absl::Seconds(5);
constexpr absl::Duration kLongestRetryFailedAfter = absl::Minutes(5);

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
struct ModelHost::SharedModel {
  explicit SharedModel(ModelHost* host) : host(host) {}
  ~SharedModel() {
    if (model != nullptr) host->Retire(std::move(model));
  }
  SharedModel(const SharedModel&) = delete;
  SharedModel& operator=(const SharedModel&) = delete;

  ModelHost* const host;
  std::unique_ptr<ServedModel> model;
};

bool ModelHost::MayLoad(const Entry& entry, absl::Duration now) const {
  if (entry.failure.ok()) return true;
  const absl::Duration delay =
      BackoffAfter(entry.failures, options_.retry_failed_after, kLongestRetryFailedAfter);
  return now - entry.failed_at >= delay && (HasRoom() || MayPass(entry.failure));
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
    const auto best = EvictionCandidate(to_load_.front());
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

ModelHost::Entries::iterator ModelHost::EvictionCandidate(const ModelVersion& next) {
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
  const auto shared = std::make_shared<SharedModel>(this);
  shared->model = std::make_unique<ServedModel>(*std::move(loaded), on_batch, clock_);
  return ModelHandle(shared, shared->model.get());
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
