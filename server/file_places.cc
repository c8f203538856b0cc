#include "server/file_places.h"

namespace cytopress {
namespace {

constexpr size_t kPlaces = 2;
constexpr absl::Duration kAtWork = absl::InfiniteDuration();

}  // namespace

bool FilePlaces::Take(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  if (streams_.size() < kPlaces) {
    streams_[stream] = kAtWork;
    return true;
  }
  // Their places are free once gRPC has ended them, for which it uses other threads. They stay as
  // long as this holds the lock.
  const absl::Duration now = clock_->Steady();
  for (const auto& [other, since] : streams_) {
    if (now - since > patience_) other->CutOff();
  }
  return false;
}

void FilePlaces::NoteWaiting(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  const auto it = streams_.find(stream);
  if (it != streams_.end()) it->second = clock_->Steady();
}

void FilePlaces::NoteWorking(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  const auto it = streams_.find(stream);
  if (it != streams_.end()) it->second = kAtWork;
}

void FilePlaces::Leave(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

}  // namespace cytopress
