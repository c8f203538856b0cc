// A bound on the memory of streams that keep a model's file in it.
#ifndef CYTOPRESS_SERVER_FILE_PLACES_H_
#define CYTOPRESS_SERVER_FILE_PLACES_H_

#include <functional>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace cytopress {

// Thread-safe.
class FilePlaces {
 public:
  // `clock` must outlive this. A stream whose client has done nothing for `patience` is cut off
  // when another wants its place.
  FilePlaces(absl::Duration patience, Clock* clock) : patience_(patience), clock_(clock) {}

  // False when all places are taken. Until NoteWaiting, `stream` is at work and may take its time.
  // `cut_off` ends its call. It is not called once Leave has returned, and must not wait for
  // anything.
  bool Take(const void* stream, std::function<void()> cut_off);
  // From now on it is the client's turn.
  void NoteWaiting(const void* stream);
  void NoteWorking(const void* stream);
  // Of a stream without a place: nothing.
  void Leave(const void* stream);

 private:
  struct Place {
    std::function<void()> cut_off;
    absl::Duration clients_turn_since = absl::InfiniteDuration();  // steady time; infinite: at work
  };

  const absl::Duration patience_;
  Clock* const clock_;

  absl::Mutex mutex_;
  std::map<const void*, Place> places_ ABSL_GUARDED_BY(mutex_);  // by stream
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_FILE_PLACES_H_
