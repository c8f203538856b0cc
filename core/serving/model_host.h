// The models in memory: loaded when first asked for, dropped when others need the room or a newer
// version has taken over.
#ifndef CYTOPRESS_CORE_SERVING_MODEL_HOST_H_
#define CYTOPRESS_CORE_SERVING_MODEL_HOST_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/steady_notification.h"
#include "core/serving/batch_scheduler.h"
#include "core/serving/model_loader.h"

namespace cytopress {

// A model that serves: immutable but for its queue.
struct ServedModel {
  ServedModel(LoadedModel model, BatchScheduler::OnBatch on_batch, Clock* clock)
      : version(std::move(model.version)),
        preprocessing(std::move(model.preprocessing)),
        class_names(std::move(model.class_names)),
        scheduler(std::move(model.engines), std::move(on_batch), clock, model.times,
                  ToString(version)) {}

  const ModelVersion version;
  const Preprocessing preprocessing;
  const std::vector<std::string> class_names;
  BatchScheduler scheduler;
};

// Keeps a model in memory while a request holds it, whatever the host decides meanwhile. May be let
// go of on any thread: the host's own thread takes the model apart.
using ModelHandle = std::shared_ptr<ServedModel>;

// How long somebody waits for a model. Whoever waits in vain is told so every few seconds, and when
// DropWaiting is called.
struct WaitLimits {
  absl::Duration deadline = absl::InfiniteDuration();  // steady time
  std::shared_ptr<const std::atomic<bool>> cancelled;  // may be null
};

// Callbacks of a host. Called on threads of the host or of its models: must be short.
struct ModelHostEvents {
  // Of BatchScheduler, with the model.
  std::function<void(const ModelVersion&, int images, absl::Duration cpu)> on_batch;
  // The model has left memory.
  std::function<void(const ModelVersion&)> on_unloaded;
  // Every few seconds.
  std::function<void()> on_tick;
};

struct ModelHostOptions {
  int max_loaded = 4;
  // A model that nobody asked for so long is dropped.
  absl::Duration unload_idle_after = absl::InfiniteDuration();
  // For so long a failed load is answered with the same error instead of another attempt; twice as
  // long after each further failure, up to five minutes.
  absl::Duration retry_failed_after = absl::Seconds(5);
};

// Thread-safe. Models are loaded and destroyed one after the other on a thread of the host. At most
// `max_loaded` are in memory at any time, those that only requests still hold included.
//
// A stand-in is the newest version of a name that is in memory while the newest of all is not:
// AcquireNewest answers with it until that is loaded.
//
// A version that could not be loaded costs others as little as can be:
//   - A file that is damaged, or that this program cannot read (DATA_LOSS, INVALID_ARGUMENT,
//     FAILED_PRECONDITION, UNIMPLEMENTED, NOT_FOUND), evicts no model at a later try. After other
//     failures (of a disk, or for want of memory) a later try may.
//   - The stand-in of a version is the last that is evicted for it, and is loaded again when that
//     was in vain; requests that take a stand-in for an answer wait for it.
//   - While the loader's Resolve is UNAVAILABLE, nothing is loaded and nothing is evicted for it:
//     who waits for a model gets that error, and whoever asks next may try at once.
class ModelHost {
 public:
  using OnLoaded = std::function<void(absl::StatusOr<ModelHandle>)>;

  // `loader` and `clock` must outlive the host. No function of `events` may be null.
  ModelHost(const ModelHostOptions& options, ModelLoader* loader, ModelHostEvents events,
            Clock* clock);
  // Waits until every handle is gone. Whoever still waits for a model gets CANCELLED.
  ~ModelHost();
  ModelHost(const ModelHost&) = delete;
  ModelHost& operator=(const ModelHost&) = delete;

  // The model if it is in memory. Otherwise null, and `on_loaded` is called once it is, or has
  // failed to load; on the host's thread, so it must be short. DEADLINE_EXCEEDED or CANCELLED, from
  // any thread, where a limit was passed before.
  // REQUIRES: `version` is one that the loader's Resolve has answered.
  ModelHandle Acquire(const ModelVersion& version, OnLoaded on_loaded, WaitLimits limits = {});

  // For who wants the newest version, which is `newest`. While that is not in memory but another
  // version of its name is, that one is the answer, and the newest is loaded meanwhile; only when
  // there is none, as Acquire. Once the newest is loaded, the versions of its name that nobody has
  // asked for by Acquire are dropped.
  ModelHandle AcquireNewest(const ModelVersion& newest, OnLoaded on_loaded, WaitLimits limits = {});

  // As AcquireNewest, but waits for the newest version itself.
  ModelHandle AwaitNewest(const ModelVersion& newest, OnLoaded on_loaded);

  // The model if it is in memory, of version 0 the newest that is; null otherwise. Loads nothing.
  ModelHandle Find(const ModelVersion& version) const;

  // Drops the model as soon as no request holds it; one that is being loaded answers those who wait
  // for it first.
  void Unload(const ModelVersion& version);
  // Tells those that have waited to a limit.
  void DropWaiting() ABSL_LOCKS_EXCLUDED(mutex_);
  // Drops what has been idle for too long. The host's thread calls it every few seconds.
  void UnloadIdle();

  std::vector<ModelVersion> Loaded() const;

 private:
  struct Waiting {
    OnLoaded on_loaded;
    WaitLimits limits;
    bool takes_stand_in = false;  // another version of the name is an answer, too
  };
  // Loaded: `model` is set. To be loaded, or being loaded: `loading`. `failure` is that of the last
  // try to load it.
  struct Entry {
    ModelHandle model;
    bool loading = false;
    std::vector<Waiting> waiting;
    bool pinned = false;     // asked for by its number: it stays when a newer one comes
    bool as_newest = false;  // asked for as the newest: it takes over from older ones
    bool unwanted = false;   // unloaded while it was loading, and not asked for since
    int64_t replaces = 0;    // the version that made room for it and would answer in its place
    absl::Status failure;
    int failures = 0;  // one after the other
    absl::Duration failed_at;
    absl::Duration last_used;
  };
  using Entries = std::map<ModelVersion, Entry>;

  enum class Want { kThisVersion, kNewest, kNewestOrStandIn };

  ModelHandle Get(const ModelVersion& version, Want want, Waiting waiting)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The newest version of `name` in memory.
  ModelHandle NewestLoaded(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The newest version of `name` that is to be loaded, or being loaded; null: there is none.
  Entry* StandInToCome(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the versions that `newest` has taken over from out of the entries.
  std::vector<ModelHandle> TakeOver(const ModelVersion& newest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  struct SharedModel;

  void Run();
  // Returns when there is something to do, or it is time for a look.
  void WaitForWork() ABSL_LOCKS_EXCLUDED(mutex_);
  void Retire(std::unique_ptr<ServedModel> model) ABSL_LOCKS_EXCLUDED(mutex_);
  void DestroyRetired() ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether the host's thread has something to do now.
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return alive_ < options_.max_loaded;
  }
  bool MayLoad(const Entry& entry, absl::Duration now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Strikes off what was to be loaded as the newest when a newer one has come, and what cannot be
  // loaded now.
  void SkipOvertaken() ABSL_LOCKS_EXCLUDED(mutex_);
  // The next is not loaded, through no fault of its own.
  void GiveUpNext(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);
  // For the next to be loaded.
  void MakeRoom() ABSL_LOCKS_EXCLUDED(mutex_);
  // What had better make room for `next`; the end when nothing should.
  Entries::iterator EvictionCandidate(const ModelVersion& next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoadNext() ABSL_LOCKS_EXCLUDED(mutex_);
  // What made room for a newer version comes back where that could not be loaded, unless another
  // one answers.
  void Reload(const ModelVersion& replaced) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of those who waited in vain, leaves in `waiting` who wanted no other version.
  void LetAwaitStandIn(const std::string& name, std::vector<Waiting>* waiting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // RESOURCE_EXHAUSTED without memory, or without threads for its engines.
  absl::StatusOr<ModelHandle> Serve(absl::StatusOr<LoadedModel> loaded);
  void Conclude(const ModelVersion& version, const absl::StatusOr<ModelHandle>& model)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Loaded ones that the host still offers.
  int64_t offered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ModelHostOptions options_;
  ModelLoader* const loader_;
  const ModelHostEvents events_;
  Clock* const clock_;

  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::deque<ModelVersion> to_load_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<ServedModel>> retired_ ABSL_GUARDED_BY(mutex_);
  int64_t alive_ ABSL_GUARDED_BY(mutex_) = 0;  // in memory: offered, held by requests, or retired
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyNotification wake_up_;  // other threads have changed what HasWork looks at
  std::thread thread_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_MODEL_HOST_H_
