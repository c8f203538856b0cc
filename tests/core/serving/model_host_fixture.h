// A host of fake models, and who asks it for them.
#ifndef CYTOPRESS_TESTS_CORE_SERVING_MODEL_HOST_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_SERVING_MODEL_HOST_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/serving/model_host.h"
#include "tests/core/serving/fakes.h"
#include "tests/eventually.h"
#include "tests/fake_clock.h"

namespace cytopress {

class ModelHostTest : public testing::Test {
 protected:
  void Make(int max_loaded, absl::Duration unload_idle_after = absl::InfiniteDuration()) {
    ModelHostOptions options;
    options.max_loaded = max_loaded;
    options.unload_idle_after = unload_idle_after;
    options.retry_failed_after = absl::Seconds(5);
    ModelHostEvents events;
    events.on_batch = [](const ModelVersion&, int, absl::Duration) {};
    events.on_unloaded = [this](const ModelVersion& model) {
      absl::MutexLock lock(&mutex_);
      unloaded_.push_back(ToString(model));
    };
    events.on_tick = [] {};
    host_.emplace(options, &loader_, events, &clock_);
  }

  using Answer = Promised<absl::StatusOr<ModelHandle>>;

  // Asks; the answer comes at once or later.
  std::shared_ptr<Answer> Ask(const std::string& name) {
    auto answer = std::make_shared<Answer>();
    ModelHandle handle = host_->Acquire(
        {name, 1}, [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); });
    if (handle != nullptr) answer->Set(std::move(handle));
    return answer;
  }
  // Asks for the newest version of "a", which is `version`.
  std::shared_ptr<Answer> AskForNewest(int64_t version) {
    loader_.SetNewest(version);
    auto answer = std::make_shared<Answer>();
    ModelHandle handle = host_->AcquireNewest(
        {"a", version},
        [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); });
    if (handle != nullptr) answer->Set(std::move(handle));
    return answer;
  }
  // The version that answers who asks for the newest.
  int64_t Answering(int64_t newest) {
    const auto answer = AskForNewest(newest);
    return answer->Get().ok() ? (*answer->Get())->version.version : -1;
  }
  std::vector<int64_t> LoadedVersions() const {
    std::vector<int64_t> versions;
    for (const ModelVersion& version : host_->Loaded()) versions.push_back(version.version);
    return versions;
  }
  void AwaitLoaded(int64_t version) {
    auto answer = std::make_shared<Answer>();
    ModelHandle handle = host_->AwaitNewest(
        {"a", version},
        [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); });
    if (handle != nullptr) return;
    ASSERT_TRUE(answer->Get().ok());
    answer->Get() = absl::CancelledError();
  }
  absl::Status Use(const std::string& name) { return Ask(name)->Get().status(); }
  std::vector<std::string> Loaded() const {
    std::vector<std::string> names;
    for (const ModelVersion& version : host_->Loaded()) names.push_back(version.name);
    return names;
  }

  void AwaitUnloaded(const std::string& model) {
    absl::MutexLock lock(&mutex_);
    const auto is_gone = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return std::count(unloaded_.begin(), unloaded_.end(), model) > 0;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&is_gone), kPatience)) << model;
  }

  absl::Mutex mutex_;
  std::vector<std::string> unloaded_ ABSL_GUARDED_BY(mutex_);
  FakeClock clock_;
  Puppet puppet_;
  FakeModelLoader loader_{&puppet_};
  std::optional<ModelHost> host_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_SERVING_MODEL_HOST_FIXTURE_H_
