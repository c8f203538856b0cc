#include "server/job_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/serving/error_details.h"
#include "tests/eventually.h"
#include "tests/server/worker/forwarding_job_store.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

constexpr int kMostWatchers = 1024;

// What it heard is read once the watcher has stopped.
class FakeListener : public JobWatcher::Listener {
 public:
  void OnJob(const v1::Job&) override {}
  void OnEnd(const absl::Status& status) override { end = status; }

  absl::Status end = absl::UnknownError("was not told of an end");
};

// Fails every look at a job as `why` says, and notes whose it was.
class FailingJobStore : public ForwardingJobStore {
 public:
  FailingJobStore(JobStore* to, std::function<absl::Status(const std::string& id)> why)
      : ForwardingJobStore(to), why_(std::move(why)) {}
  absl::StatusOr<int64_t> Revision(const std::string& id) override {
    {
      absl::MutexLock lock(&mutex_);
      asked_.push_back(id);
    }
    return why_(id);
  }
  std::vector<std::string> asked() const {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }

 private:
  const std::function<absl::Status(const std::string& id)> why_;
  mutable absl::Mutex mutex_;
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
};

class JobWatcherTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = *OpenJobStore(absl::StrCat("sqlite://", temporary_.PathOf("jobs.db")), RealClock());
    v1::JobSpec spec;
    spec.set_model_name("cells");
    job_id_ = store_->Submit(spec, "")->id();
  }

  const TemporaryFolder temporary_;
  std::unique_ptr<JobStore> store_;
  std::string job_id_;
};

TEST_F(JobWatcherTest, TooManyAreRefusedAndWhoGoesMakesRoom) {
  JobWatcher watcher(store_.get());
  std::vector<std::shared_ptr<FakeListener>> listeners;
  for (int i = 0; i < kMostWatchers; ++i) {
    listeners.push_back(std::make_shared<FakeListener>());
    ASSERT_EQ(watcher.Add(job_id_, listeners.back()), absl::OkStatus());
  }
  const auto late = std::make_shared<FakeListener>();
  const absl::Status refused = watcher.Add(job_id_, late);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorInfoOf(refused).reason(), "TOO_MANY_WATCHERS");
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  EXPECT_EQ(watcher.watchers(), kMostWatchers);

  watcher.Remove(job_id_, late);
  EXPECT_EQ(watcher.watchers(), kMostWatchers) << "it had no place";
  watcher.Remove(job_id_, listeners.front());
  watcher.Remove(job_id_, listeners.front());
  EXPECT_EQ(watcher.watchers(), kMostWatchers - 1) << "one place is given back once";
  EXPECT_EQ(watcher.Add(job_id_, late), absl::OkStatus());
  EXPECT_EQ(watcher.Add(job_id_, listeners.front()).code(), absl::StatusCode::kResourceExhausted);

  watcher.Stop();
  EXPECT_EQ(watcher.watchers(), 0);
  EXPECT_EQ(late->end.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(listeners.back()->end.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(listeners.front()->end.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(watcher.Add(job_id_, late).code(), absl::StatusCode::kUnavailable);
}

TEST_F(JobWatcherTest, ADatabaseThatIsAwayIsAskedOnceARound) {
  FailingJobStore store(store_.get(),
                        [](const std::string&) { return absl::UnavailableError("away"); });
  JobWatcher watcher(&store);
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_EQ(watcher.Add(id, std::make_shared<FakeListener>()), absl::OkStatus());
  }
  const size_t before = store.asked().size();
  ASSERT_TRUE(Eventually([&] { return store.asked().size() >= before + 3; }));
  EXPECT_THAT(store.asked(), testing::Each("a"));
}

TEST_F(JobWatcherTest, StopsAfterTheLookThatIsUnderWay) {
  absl::Notification hangs, goes_on;
  FailingJobStore store(store_.get(), [&](const std::string& id) {
    if (id == "b") {
      hangs.Notify();
      goes_on.WaitForNotification();
    }
    return absl::InternalError("broken");
  });
  JobWatcher watcher(&store);
  // Last the one that hangs, so that its round has all of them.
  for (const char* id : {"c", "a", "b"}) {
    ASSERT_EQ(watcher.Add(id, std::make_shared<FakeListener>()), absl::OkStatus());
  }
  hangs.WaitForNotification();
  std::thread stopping([&watcher] { watcher.Stop(); });
  EXPECT_TRUE(Eventually([&watcher] {
    return absl::IsUnavailable(watcher.Add("c", std::make_shared<FakeListener>()));
  }));
  goes_on.Notify();
  stopping.join();
  EXPECT_EQ(store.asked().back(), "b");
}

}  // namespace
}  // namespace cytopress
