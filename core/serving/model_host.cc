#include "core/serving/model_host.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace cytopress {
namespace {

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

std::vector<ModelVersion> ModelHost::Loaded() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ModelVersion> loaded;
  for (const auto& [version, entry] : entries_) {
    if (entry.model != nullptr) loaded.push_back(version);
  }
  return loaded;
}

}  // namespace cytopress
