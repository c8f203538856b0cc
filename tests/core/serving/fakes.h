// Engines and models that do only what a test tells them to.
#ifndef CYTOPRESS_TESTS_CORE_SERVING_FAKES_H_
#define CYTOPRESS_TESTS_CORE_SERVING_FAKES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "core/serving/classify_pipeline.h"
#include "core/serving/model_loader.h"
#include "tests/eventually.h"

namespace cytopress {

inline constexpr int kFakeClasses = 4;
inline constexpr int kFakeBatch = 4;  // the preferred one
inline constexpr int kFakeSide = 2;   // images are 2 x 2 gray
inline constexpr int kFakeImageBytes = kFakeSide * kFakeSide;

// Holds the strings of the engines that were made with it. Thread-safe.
class Puppet {
 public:
  // From now on every batch waits until it is let go.
  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
  }
  // Lets one batch go, the next if none waits.
  void LetOneGo() {
    absl::MutexLock lock(&mutex_);
    ++allowed_;
  }
  void LetAllGo() {
    absl::MutexLock lock(&mutex_);
    held_ = false;
  }
  void FailNext(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    failure_ = std::move(status);
  }
  // True when `count` batches in all have reached an engine.
  bool AwaitBatches(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return batches_.size() >= count;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kPatience);
  }
  std::vector<int> batches() const {
    absl::MutexLock lock(&mutex_);
    return batches_;
  }
  // That there were at once.
  int most_engines() const {
    absl::MutexLock lock(&mutex_);
    return most_engines_;
  }
  void CountEngine(int sign) {
    absl::MutexLock lock(&mutex_);
    engines_ += sign;
    most_engines_ = std::max(most_engines_, engines_);
  }

  absl::Status Enter(int images) {
    absl::MutexLock lock(&mutex_);
    batches_.push_back(images);
    const auto may_go = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !held_ || allowed_ > 0;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&may_go), kPatience)) {
      ADD_FAILURE() << "nobody let the batch go";
    }
    if (held_) --allowed_;
    return std::exchange(failure_, absl::OkStatus());
  }

 private:
  mutable absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int allowed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<int> batches_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  int engines_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_engines_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Sees class p % 4 in an image whose first pixel is p. The puppet outlives it.
class PuppetEngine : public Engine {
 public:
  PuppetEngine(Puppet* puppet, int preferred_batch)
      : puppet_(puppet), preferred_batch_(preferred_batch) {
    puppet_->CountEngine(1);
  }
  ~PuppetEngine() override { puppet_->CountEngine(-1); }

  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    if (absl::Status status = puppet_->Enter(count); !status.ok()) return status;
    for (float& probability : probabilities) probability = 0;
    for (int i = 0; i < count; ++i) {
      probabilities[i * kFakeClasses + pixels[i * kFakeImageBytes] % kFakeClasses] = 1;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Engine>> Clone() override {
    return std::make_unique<PuppetEngine>(puppet_, preferred_batch_);
  }
  std::string name() const override { return "puppet"; }
  int classes() const override { return kFakeClasses; }
  int64_t image_bytes() const override { return kFakeImageBytes; }
  int preferred_batch() const override { return preferred_batch_; }

 private:
  Puppet* const puppet_;
  const int preferred_batch_;
};

inline std::vector<std::unique_ptr<Engine>> PuppetEngines(Puppet* puppet, int engines,
                                                          int preferred_batch) {
  std::vector<std::unique_ptr<Engine>> made;
  for (int i = 0; i < engines; ++i) {
    made.push_back(std::make_unique<PuppetEngine>(puppet, preferred_batch));
  }
  return made;
}

// Any version of any model, run by one puppet; looks and loads can be held, too. Thread-safe.
class FakeModelLoader : public ModelLoader {
 public:
  explicit FakeModelLoader(Puppet* puppet, int engines = 1, int preferred_batch = kFakeBatch)
      : puppet_(puppet), engines_(engines), preferred_batch_(preferred_batch) {}

  absl::StatusOr<ModelVersion> Resolve(const ModelVersion& wanted) override {
    if (wanted.name == "missing") return absl::NotFoundError("there is no model 'missing'");
    absl::MutexLock lock(&mutex_);
    ++looks_;
    const auto may_go = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !looks_held_; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&may_go), kPatience)) {
      ADD_FAILURE() << "nobody let the look at " << ToString(wanted) << " go on";
    }
    if (!look_failure_.ok()) return look_failure_;
    return ModelVersion{wanted.name.empty() ? "default" : wanted.name,
                        wanted.version == 0 ? newest_ : wanted.version};
  }
  int64_t changes() const override { return changes_; }
  // As when this process has published or deleted.
  void NoteChange() { ++changes_; }
  // As a file system that stalls.
  void HoldLooks(bool held) {
    absl::MutexLock lock(&mutex_);
    looks_held_ = held;
  }
  // As one that is not there; OK: it is back.
  void FailLooks(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    look_failure_ = std::move(status);
  }
  // What version 0 means from now on.
  void SetNewest(int64_t version) {
    absl::MutexLock lock(&mutex_);
    newest_ = version;
  }

  absl::StatusOr<LoadedModel> Load(const ModelVersion& version) override {
    absl::MutexLock lock(&mutex_);
    ++loads_[ToString(version)];
    const auto may_go = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !held_; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&may_go), kPatience)) {
      ADD_FAILURE() << "nobody let the load of " << ToString(version) << " go on";
    }
    if (!failure_.ok()) return failure_;
    if (const auto it = failures_.find(ToString(version)); it != failures_.end()) return it->second;
    LoadedModel model;
    model.version = version;
    model.preprocessing.width = kFakeSide;
    model.preprocessing.height = kFakeSide;
    model.preprocessing.channels = 1;
    for (int i = 0; i < kFakeClasses; ++i) model.class_names.push_back(absl::StrCat("class", i));
    model.engines = PuppetEngines(puppet_, engines_, preferred_batch_);
    model.times = times_;
    return model;
  }
  // What models that are loaded from now on say of their engines; unknown until then.
  void SetTimes(const ImageTimes& times) {
    absl::MutexLock lock(&mutex_);
    times_ = times;
  }

  void Hold(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }
  void Fail(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    failure_ = std::move(status);
  }
  // Of one version; OK: it can be loaded again.
  void FailOne(const std::string& version, absl::Status status) {
    absl::MutexLock lock(&mutex_);
    if (status.ok()) {
      failures_.erase(version);
    } else {
      failures_[version] = std::move(status);
    }
  }
  // Calls of Resolve, of all models.
  int looks() const {
    absl::MutexLock lock(&mutex_);
    return looks_;
  }
  bool AwaitLooks(int count) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return looks_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kPatience);
  }
  int loads(const std::string& version) const {
    absl::MutexLock lock(&mutex_);
    const auto it = loads_.find(version);
    return it == loads_.end() ? 0 : it->second;
  }
  bool AwaitLoads(const std::string& version, int count) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return loads_[version] >= count;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kPatience);
  }

 private:
  Puppet* const puppet_;
  const int engines_;
  const int preferred_batch_;
  std::atomic<int64_t> changes_{0};
  mutable absl::Mutex mutex_;
  int64_t newest_ ABSL_GUARDED_BY(mutex_) = 1;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool looks_held_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status look_failure_ ABSL_GUARDED_BY(mutex_);
  ImageTimes times_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> loads_ ABSL_GUARDED_BY(mutex_);
  int looks_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Thread-safe.
class CountingObserver : public ServingObserver {
 public:
  void OnBatch(const ModelVersion& model, int images, absl::Duration cpu) override {
    batched_ += images;
  }
  void OnClassified(const ModelVersion& model, int images, bool bulk,
                    const ClassifyTiming& timing) override {
    (bulk ? classified_bulk_ : classified_) += images;
  }
  void OnUnloaded(const ModelVersion& model) override {}
  void OnRefused(const std::string& reason) override { ++refused_; }
  int refused() const { return refused_; }
  int batched() const { return batched_; }
  int classified() const { return classified_; }  // without bulk work
  int classified_bulk() const { return classified_bulk_; }

 private:
  std::atomic<int> batched_{0};
  std::atomic<int> classified_{0};
  std::atomic<int> classified_bulk_{0};
  std::atomic<int> refused_{0};
};

// Something that another thread will deliver once.
template <typename T>
class Promised {
 public:
  void Set(T value) {
    value_ = std::make_unique<T>(std::move(value));
    set_.Notify();
  }
  bool IsSet() const { return set_.HasBeenNotified(); }
  // Ends the test when nothing comes: GoogleTest takes what is thrown for a failure.
  T& Get() {
    if (!set_.WaitForNotificationWithTimeout(kPatience)) {
      throw std::runtime_error("no answer came");
    }
    return *value_;
  }

 private:
  absl::Notification set_;
  std::unique_ptr<T> value_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_SERVING_FAKES_H_
