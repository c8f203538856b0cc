#include "server/metrics/state_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/eventually.h"
#include "tests/fake_clock.h"
#include "tests/server/worker/forwarding_job_store.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pair;

// Cannot be read while `busy`; counts what it is asked.
class BusyJobStore : public ForwardingJobStore {
 public:
  using ForwardingJobStore::ForwardingJobStore;

  absl::StatusOr<std::vector<std::pair<int64_t, v1::LedgerEntry>>> LedgerSince(
      int64_t after) override {
    ++asked;
    if (busy) return absl::UnavailableError("the database is locked");
    return ForwardingJobStore::LedgerSince(after);
  }
  absl::StatusOr<int64_t> LastLedgerLine() override {
    ++asked;
    if (busy) return absl::UnavailableError("the database is locked");
    return ForwardingJobStore::LastLedgerLine();
  }
  absl::StatusOr<QueueStats> Stats() override {
    ++asked;
    if (busy) return absl::UnavailableError("the database is locked");
    return ForwardingJobStore::Stats();
  }
  absl::StatusOr<std::vector<WorkerInfo>> ListWorkers() override {
    ++asked;
    if (busy) return absl::UnavailableError("the database is locked");
    if (workers_are_damaged) return absl::InternalError("no such table");
    return ForwardingJobStore::ListWorkers();
  }

  bool busy = false;
  bool workers_are_damaged = false;
  int asked = 0;
};

// Does not answer as long as it hangs.
class HangingJobStore : public ForwardingJobStore {
 public:
  using ForwardingJobStore::ForwardingJobStore;

  absl::StatusOr<QueueStats> Stats() override {
    {
      absl::MutexLock lock(&mutex_);
      const auto answers = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !hangs_; };
      mutex_.Await(absl::Condition(&answers));
    }
    return ForwardingJobStore::Stats();
  }
  void Hang(bool hangs) {
    absl::MutexLock lock(&mutex_);
    hangs_ = hangs;
  }

 private:
  absl::Mutex mutex_;
  bool hangs_ ABSL_GUARDED_BY(mutex_) = false;
};

double QueueDepth(const StateMetrics& metrics) {
  for (const prometheus::MetricFamily& family : metrics.Collect()) {
    if (family.name == "cytopress_classify_queue_depth") return family.metric.at(0).gauge.value;
  }
  return -1;
}

// The gauge `name` by the value of its only label.
std::map<std::string, double> Gauges(const StateMetrics& metrics, const std::string& name) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : metrics.Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      values[metric.label.at(0).value] = metric.gauge.value;
    }
  }
  return values;
}

class StateMetricsTest : public testing::Test {
 protected:
  StateMetricsTest()
      : store_(*OpenJobStore(absl::StrCat("sqlite://", folder_, "/jobs.db"), &clock_)),
        busy_store_(store_.get()),
        registry_(*ModelRegistry::Open(folder_ + "/models")) {}

  StateSources Sources() {
    StateSources sources;
    sources.jobs = &busy_store_;
    sources.models = &registry_;
    sources.loaded_models = [] { return std::vector<ModelVersion>(); };
    sources.waiting_images = [] { return 0; };
    sources.predicted_seconds = [] {
      return std::vector<std::pair<ModelVersion, absl::Duration>>();
    };
    sources.prediction_margin = [] { return 1.0; };
    sources.state_folder = folder_;
    sources.models_folder = folder_ + "/models";
    sources.clock = &clock_;
    return sources;
  }

  void EndStage(double seconds) {
    v1::JobSpec spec;
    spec.set_model_name("cells");
    ASSERT_TRUE(store_->Submit(spec, "").ok());
    const auto leased = store_->AcquireLease("w", "cpu", absl::Seconds(30));
    ASSERT_TRUE(leased.ok() && leased->has_value());
    v1::LedgerEntry line;
    line.set_stage("fine-tune 80 %");
    line.set_kind(v1::STAGE_KIND_FINE_TUNE);
    line.set_seconds(seconds);
    ASSERT_TRUE(store_->Start((*leased)->lease).ok());
    ASSERT_TRUE(store_->AppendLedger((*leased)->lease, line).ok());
  }

  // The seconds of all stages, as a scrape after a while reads them.
  double StageSeconds(const StateMetrics& metrics) {
    clock_.Advance(absl::Seconds(15));
    double seconds = 0;
    for (const prometheus::MetricFamily& family : metrics.Collect()) {
      if (family.name != "cytopress_stage_seconds") continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        EXPECT_EQ(metric.label.at(0).value, "fine-tune");
        seconds += metric.histogram.sample_sum;
      }
    }
    return seconds;
  }

  FakeClock clock_;
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  std::unique_ptr<JobStore> store_;
  BusyJobStore busy_store_;
  ModelRegistry registry_;
};

TEST_F(StateMetricsTest, TellsTheRoomOnTheDisks) {
  const auto free_bytes = [](const StateSources& sources) {
    return Gauges(StateMetrics(sources, kPatience), "cytopress_state_free_bytes");
  };
  // Somebody else may write to it meanwhile.
  const double expected = static_cast<double>(std::filesystem::space(folder_).available);
  const testing::Matcher<double> about = DoubleNear(expected, expected / 2);
  EXPECT_THAT(free_bytes(Sources()), ElementsAre(Pair("models", about), Pair("state", about)));
  StateSources gone = Sources();
  gone.state_folder = folder_ + "/gone";
  EXPECT_THAT(free_bytes(gone), ElementsAre(Pair("models", about)))
      << "rather no figure than a wrong one";
}

TEST_F(StateMetricsTest, TellsWhatItCannotRead) {
  const auto readable = [](const StateSources& sources) {
    return Gauges(StateMetrics(sources, kPatience), "cytopress_state_readable");
  };
  EXPECT_THAT(readable(Sources()), ElementsAre(Pair("disk", 1), Pair("jobs", 1), Pair("ledger", 1),
                                               Pair("models", 1), Pair("workers", 1)));
  busy_store_.workers_are_damaged = true;
  StateSources sources = Sources();
  sources.models_folder = folder_ + "/gone";
  ASSERT_TRUE(registry_.MakeIdentity().ok());
  std::filesystem::rename(folder_ + "/models", folder_ + "/elsewhere");
  EXPECT_THAT(readable(sources), ElementsAre(Pair("disk", 0), Pair("jobs", 1), Pair("ledger", 1),
                                             Pair("models", 0), Pair("workers", 0)));
}

TEST_F(StateMetricsTest, ADatabaseThatIsAwayIsWaitedForOnce) {
  const StateMetrics metrics(Sources(), kPatience);
  busy_store_.busy = true;
  busy_store_.asked = 0;
  EXPECT_THAT(Gauges(metrics, "cytopress_state_readable"),
              ElementsAre(Pair("disk", 1), Pair("jobs", 0), Pair("ledger", 0), Pair("models", 1),
                          Pair("workers", 0)));
  EXPECT_EQ(busy_store_.asked, 1);
}

TEST_F(StateMetricsTest, TheDatabaseIsAskedOnceASecondHoweverOftenItIsScraped) {
  int scrapes = 0;
  StateSources sources = Sources();
  sources.waiting_images = [&scrapes] { return ++scrapes; };
  const StateMetrics metrics(std::move(sources), kPatience);
  busy_store_.asked = 0;
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(QueueDepth(metrics), i) << "what is in memory is fresh";
  const int once = busy_store_.asked;
  EXPECT_EQ(once, 3) << "ledger, jobs and workers";
  clock_.Advance(absl::Milliseconds(999));
  metrics.Collect();
  EXPECT_EQ(busy_store_.asked, once);
  clock_.Advance(absl::Milliseconds(1));
  metrics.Collect();
  EXPECT_EQ(busy_store_.asked, 2 * once);
}

TEST_F(StateMetricsTest, AScrapeDoesNotWaitForADatabaseThatHangs) {
  HangingJobStore store(store_.get());
  int scrapes = 0;
  StateSources sources = Sources();
  sources.jobs = &store;
  sources.waiting_images = [&scrapes] { return ++scrapes; };
  const StateMetrics metrics(std::move(sources), absl::Milliseconds(1));
  const auto readable = [&metrics] { return Gauges(metrics, "cytopress_state_readable"); };
  const std::map<std::string, double> all = {
      {"disk", 1}, {"jobs", 1}, {"ledger", 1}, {"models", 1}, {"workers", 1}};
  ASSERT_TRUE(Eventually([&] { return readable() == all; }));

  store.Hang(true);
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(readable(), all);
  EXPECT_FALSE(Gauges(metrics, "cytopress_jobs").empty()) << "what was read last";
  clock_.Advance(absl::Seconds(1));
  const std::map<std::string, double> folders = {
      {"disk", 1}, {"jobs", 0}, {"ledger", 0}, {"models", 1}, {"workers", 0}};
  EXPECT_TRUE(Eventually([&] { return readable() == folders; }));
  EXPECT_TRUE(Gauges(metrics, "cytopress_jobs").empty()) << "what is that old misleads";
  EXPECT_FALSE(Gauges(metrics, "cytopress_state_free_bytes").empty());
  const int before = scrapes;
  EXPECT_EQ(QueueDepth(metrics), before + 1);

  store.Hang(false);
  EXPECT_TRUE(Eventually([&] { return readable() == all; }));
}

TEST_F(StateMetricsTest, TheStartReadsNoLedger) {
  EndStage(1000);
  const StateMetrics metrics(Sources(), kPatience);
  EXPECT_EQ(busy_store_.asked, 1) << "only for its last number";
}

TEST_F(StateMetricsTest, CountsTheStagesThatEndLater) {
  EndStage(1000);
  const StateMetrics metrics(Sources(), kPatience);
  EndStage(5);
  EXPECT_EQ(StageSeconds(metrics), 5);
  EndStage(2);
  EXPECT_EQ(StageSeconds(metrics), 7);
}

TEST_F(StateMetricsTest, WhatWasThereIsNotCountedWhereItCouldNotBeReadAtFirst) {
  EndStage(1000);
  busy_store_.busy = true;
  const StateMetrics metrics(Sources(), kPatience);
  EXPECT_EQ(StageSeconds(metrics), 0);
  busy_store_.busy = false;
  EXPECT_EQ(StageSeconds(metrics), 0);
  EndStage(5);
  EXPECT_EQ(StageSeconds(metrics), 5);
  busy_store_.busy = true;
  EndStage(2);
  EXPECT_EQ(StageSeconds(metrics), 5);
  busy_store_.busy = false;
  EXPECT_EQ(StageSeconds(metrics), 7) << "what ended while the server ran is counted later";
}

}  // namespace
}  // namespace cytopress
