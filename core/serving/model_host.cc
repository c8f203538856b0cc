#include "core/serving/model_host.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/memory.h"

namespace cytopress {
namespace {

constexpr absl::Duration kTickInterval = absl::Seconds(5);

}  // namespace

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
  }
  for (auto& [version, entry] : entries) {
    for (OnLoaded& on_loaded : entry.waiting) {
      on_loaded(absl::CancelledError("the server is shutting down"));
    }
  }
  entries.clear();
  thread_.join();
}

ModelHandle ModelHost::Acquire(const ModelVersion& version, OnLoaded on_loaded) {
  return Get(version, Want::kThisVersion, std::move(on_loaded));
}

ModelHandle ModelHost::AcquireNewest(const ModelVersion& newest, OnLoaded on_loaded) {
  return Get(newest, Want::kNewestOrStandIn, std::move(on_loaded));
}

ModelHandle ModelHost::AwaitNewest(const ModelVersion& newest, OnLoaded on_loaded) {
  return Get(newest, Want::kNewest, std::move(on_loaded));
}

ModelHandle ModelHost::Get(const ModelVersion& version, Want want, OnLoaded on_loaded) {
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
    if (entry.failure.ok() || now - entry.failed_at >= options_.retry_failed_after) {
      entry.failure = absl::OkStatus();
      if (!entry.loading) to_load_.push_back(version);
      entry.loading = true;
    }
    if (want == Want::kNewestOrStandIn) {
      ModelHandle stand_in = NewestLoaded(version.name);
      if (stand_in != nullptr) {
        entries_[stand_in->version].last_used = now;
        return stand_in;
      }
    }
    if (entry.failure.ok()) {
      entry.waiting.push_back(std::move(on_loaded));
      return nullptr;
    }
    failure = entry.failure;
  }
  on_loaded(failure);
  return nullptr;
}

ModelHandle ModelHost::NewestLoaded(const std::string& name) const {
  ModelHandle newest;
  for (auto it = entries_.lower_bound({name, 0}); it != entries_.end() && it->first.name == name;
       ++it) {
    if (it->second.model != nullptr) newest = it->second.model;
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

void ModelHost::UnloadIdle() {
  std::vector<ModelHandle> victims;
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_->Steady();
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    const bool failed_long_ago =
        !entry.failure.ok() && now - entry.failed_at >= options_.retry_failed_after;
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

void ModelHost::Retire(ServedModel* model) {
  absl::MutexLock lock(&mutex_);
  retired_.emplace_back(model);
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

void ModelHost::Run() {
  absl::Duration last_tick = clock_->Steady();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasWork(); };
      mutex_.AwaitWithTimeout(absl::Condition(&has_work), kTickInterval);
      if (stopping_ && alive_ == 0) return;
    }
    DestroyRetired();
    UnloadIdle();
    MakeRoom();
    LoadNext();
    if (clock_->Steady() - last_tick >= kTickInterval) {
      last_tick = clock_->Steady();
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

void ModelHost::MakeRoom() {
  ModelHandle victim;
  absl::MutexLock lock(&mutex_);
  if (to_load_.empty() || HasRoom() || alive_ != offered()) return;
  // The least recently used; rather one that no request holds.
  const auto is_better = [](const Entry& a, const Entry& b) {
    const bool a_free = a.model.use_count() == 1;
    const bool b_free = b.model.use_count() == 1;
    return a_free != b_free ? a_free : a.last_used < b.last_used;
  };
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second.model == nullptr) continue;
    if (best == entries_.end() || is_better(it->second, best->second)) best = it;
  }
  victim = std::move(best->second.model);
  entries_.erase(best);
}

bool ModelHost::IsOvertaken(const ModelVersion& version) {
  const absl::StatusOr<ModelVersion> newest = loader_->Resolve({version.name, 0});
  absl::MutexLock lock(&mutex_);
  const Entry& entry = entries_[version];
  if (entry.pinned || !entry.waiting.empty() || (newest.ok() && *newest == version)) return false;
  entries_.erase(version);
  return true;
}

void ModelHost::LoadNext() {
  ModelVersion version;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ || to_load_.empty() || !HasRoom()) return;
    version = to_load_.front();
    to_load_.pop_front();
  }
  if (IsOvertaken(version)) return;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    ++alive_;
  }
  const absl::Duration start = clock_->Steady();
  absl::StatusOr<LoadedModel> loaded = loader_->Load(version);
  if (loaded.ok()) {
    spdlog::info("loaded {} ({}) in {:.0f} ms", ToString(version), loaded->engines.at(0)->name(),
                 absl::ToDoubleMilliseconds(clock_->Steady() - start));
  } else {
    spdlog::warn("cannot load {}: {}", ToString(version), loaded.status().ToString());
  }
  Conclude(version, std::move(loaded));
}

void ModelHost::Conclude(const ModelVersion& version, absl::StatusOr<LoadedModel> loaded) {
  const absl::Status status = loaded.status();
  ModelHandle model;
  if (status.ok()) {
    const auto on_batch = [this, version](int images, absl::Duration cpu) {
      events_.on_batch(version, images, cpu);
    };
    model = ModelHandle(new ServedModel(*std::move(loaded), on_batch, clock_),
                        [this](ServedModel* served) { Retire(served); });
  }
  std::vector<OnLoaded> waiting;
  std::vector<ModelHandle> replaced;  // let go of without the lock
  {
    absl::MutexLock lock(&mutex_);
    if (!status.ok()) --alive_;
    if (!stopping_) {
      Entry& entry = entries_[version];
      waiting.swap(entry.waiting);
      entry.loading = false;
      entry.last_used = clock_->Steady();
      entry.model = model;
      entry.failure = status;
      entry.failed_at = entry.last_used;
      if (status.ok() && entry.as_newest) replaced = TakeOver(version);
      if (entry.unwanted) entries_.erase(version);
    }
  }
  for (OnLoaded& on_loaded : waiting) {
    if (status.ok()) {
      on_loaded(model);
    } else {
      on_loaded(status);
    }
  }
}

}  // namespace cytopress
