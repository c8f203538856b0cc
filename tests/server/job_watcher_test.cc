#include "server/job_watcher.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"
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
  JobWatcher watcher(JobWatcherOptions(), store_.get());
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

}  // namespace
}  // namespace cytopress
