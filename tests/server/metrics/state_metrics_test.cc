#include "server/metrics/state_metrics.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/worker/forwarding_job_store.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

// Cannot read the ledger while `busy`.
class BusyJobStore : public ForwardingJobStore {
 public:
  using ForwardingJobStore::ForwardingJobStore;

  absl::StatusOr<std::vector<std::pair<int64_t, v1::LedgerEntry>>> LedgerSince(
      int64_t after) override {
    if (busy) return absl::UnavailableError("the database is locked");
    return ForwardingJobStore::LedgerSince(after);
  }

  bool busy = false;
};

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

TEST_F(StateMetricsTest, TellsTheRoomOnTheDisk) {
  const auto free_bytes = [](const StateMetrics& metrics) {
    for (const prometheus::MetricFamily& family : metrics.Collect()) {
      if (family.name == "cytopress_state_free_bytes") return family.metric.at(0).gauge.value;
    }
    return -1.0;
  };
  // Somebody else may write to it meanwhile.
  const double expected = static_cast<double>(std::filesystem::space(folder_).available);
  EXPECT_NEAR(free_bytes(StateMetrics(Sources())), expected, expected / 2);
  StateSources gone = Sources();
  gone.state_folder = folder_ + "/gone";
  EXPECT_EQ(free_bytes(StateMetrics(gone)), -1) << "rather no figure than a wrong one";
}

TEST_F(StateMetricsTest, TheSourcesAreAskedOnceASecondHoweverOftenItIsScraped) {
  int asked = 0;
  StateSources sources = Sources();
  sources.waiting_images = [&asked] { return ++asked; };
  const StateMetrics metrics(std::move(sources));
  const auto scraped_depth = [&metrics] {
    for (const prometheus::MetricFamily& family : metrics.Collect()) {
      if (family.name == "cytopress_classify_queue_depth") return family.metric.at(0).gauge.value;
    }
    return -1.0;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(scraped_depth(), 1);
  clock_.Advance(absl::Milliseconds(999));
  EXPECT_EQ(scraped_depth(), 1);
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(scraped_depth(), 2);
  EXPECT_EQ(asked, 2);
}

TEST_F(StateMetricsTest, CountsTheStagesThatEndLater) {
  EndStage(1000);
  const StateMetrics metrics(Sources());
  EndStage(5);
  EXPECT_EQ(StageSeconds(metrics), 5);
  EndStage(2);
  EXPECT_EQ(StageSeconds(metrics), 7);
}

TEST_F(StateMetricsTest, WhatWasThereIsNotCountedWhereItCouldNotBeReadAtFirst) {
  EndStage(1000);
  busy_store_.busy = true;
  const StateMetrics metrics(Sources());
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
