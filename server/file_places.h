// A bound on the memory of streams that keep a model's file in it.
#ifndef CYTOPRESS_SERVER_FILE_PLACES_H_
#define CYTOPRESS_SERVER_FILE_PLACES_H_

#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace cytopress {

// Thread-safe.
class FilePlaces {
 public:
  class Stream {
   public:
    // Ends the call. Must not wait for anything.
    virtual void CutOff() = 0;

   protected:
    ~Stream() = default;
  };

  // `clock` must outlive this. A stream whose client has done nothing for `patience` is cut off
  // when another wants its place.
  FilePlaces(absl::Duration patience, Clock* clock) : patience_(patience), clock_(clock) {}

  // False when all places are taken. Until NoteWaiting, the stream is at work and may take its
  // time.
  bool Take(Stream* stream);
  // From now on it is the client's turn.
  void NoteWaiting(Stream* stream);
  void NoteWorking(Stream* stream);
  // Of a stream without a place: nothing.
  void Leave(Stream* stream);

 private:
  const absl::Duration patience_;
  Clock* const clock_;

  absl::Mutex mutex_;
  // With the steady time since which its client's turn has lasted.
  std::map<Stream*, absl::Duration> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_FILE_PLACES_H_
