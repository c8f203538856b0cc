#include "server/file_places.h"

#include <utility>

namespace cytopress {
namespace {

constexpr size_t kPlaces = 2;

}  // namespace

bool FilePlaces::Take(const void* stream, std::function<void()> cut_off) {
  absl::MutexLock lock(&mutex_);
  if (places_.size() < kPlaces) {
    places_[stream].cut_off = std::move(cut_off);
    return true;
  }
  // Their places are free once gRPC has ended them, for which it uses other threads. They stay as
  // long as this holds the lock.
  const absl::Duration now = clock_->Steady();
  for (const auto& [other, place] : places_) {
    if (now - place.clients_turn_since > patience_) place.cut_off();
  }
  return false;
}

void FilePlaces::NoteWaiting(const void* stream) {
  absl::MutexLock lock(&mutex_);
  const auto it = places_.find(stream);
  if (it != places_.end()) it->second.clients_turn_since = clock_->Steady();
}

void FilePlaces::NoteWorking(const void* stream) {
  absl::MutexLock lock(&mutex_);
  const auto it = places_.find(stream);
  if (it != places_.end()) it->second.clients_turn_since = absl::InfiniteDuration();
}

void FilePlaces::Leave(const void* stream) {
  absl::MutexLock lock(&mutex_);
  places_.erase(stream);
}

}  // namespace cytopress
