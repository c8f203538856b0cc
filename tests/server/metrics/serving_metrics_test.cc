#include "server/metrics/serving_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Not;

class ServingMetricsTest : public testing::Test {
 protected:
  void Serve(const ModelVersion& model) {
    metrics_.OnBatch(model, 2, absl::Milliseconds(3));
    metrics_.OnClassified(model, 2, /*bulk=*/false, ClassifyTiming());
  }

  // The versions that have a series in the family `name`, or in any of those by model.
  std::set<std::string> Versions(const std::string& name = "") {
    std::set<std::string> versions;
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (!name.empty() && family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        for (const prometheus::ClientMetric::Label& label : metric.label) {
          if (label.name == "version") versions.insert(label.value);
        }
      }
    }
    return versions;
  }

  double Images(const std::string& version) {
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name != "cytopress_classify_images_total") continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        for (const prometheus::ClientMetric::Label& label : metric.label) {
          if (label.name == "version" && label.value == version) return metric.counter.value;
        }
      }
    }
    return -1;
  }

  double Refused(const std::string& reason) {
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name != "cytopress_classify_refused_total") continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (metric.label.at(0).value == reason) return metric.counter.value;
      }
    }
    return -1;
  }

  prometheus::Registry registry_;
  ServingMetrics metrics_{&registry_};
};

TEST_F(ServingMetricsTest, TheLastVersionsThatWereUnloadedAreKept) {
  for (int version = 1; version <= 35; ++version) Serve({"cells", version});
  for (int version = 1; version <= 34; ++version) metrics_.OnUnloaded({"cells", version});
  EXPECT_EQ(Versions("cytopress_classify_request_seconds").size(), 33u);
  EXPECT_THAT(Versions(), AllOf(Not(Contains("2")), Contains("3"), Contains("35")));
  EXPECT_EQ(Images("3"), 2);
}

TEST_F(ServingMetricsTest, ManyNamesHaveNoMore) {
  for (int name = 0; name < 100; ++name) {
    Serve({absl::StrCat("cells-", name), 1});
    metrics_.OnUnloaded({absl::StrCat("cells-", name), 1});
  }
  int found = 0;
  for (const prometheus::MetricFamily& family : registry_.Collect()) {
    if (family.name != "cytopress_classify_images_total") continue;
    ++found;
    EXPECT_EQ(family.metric.size(), 32u);
  }
  EXPECT_EQ(found, 1);
}

TEST_F(ServingMetricsTest, OneVersionMayComeAndGo) {
  for (int round = 0; round < 40; ++round) {
    Serve({"cells", 1});
    metrics_.OnUnloaded({"cells", 1});
  }
  EXPECT_EQ(Images("1"), 80);
  const auto unload_others = [this](int first) {
    for (int version = first; version < first + 32; ++version) {
      Serve({"cells", version});
      metrics_.OnUnloaded({"cells", version});
    }
  };
  unload_others(2);
  EXPECT_EQ(Images("1"), -1);
  Serve({"cells", 1});
  EXPECT_EQ(Images("1"), 2);
  metrics_.OnUnloaded({"cells", 1});
  Serve({"cells", 1});
  unload_others(100);
  EXPECT_EQ(Images("1"), 4) << "it was loaded again, and serves";
}

TEST_F(ServingMetricsTest, EveryReasonOfARefusalIsThereBeforeTheFirst) {
  const auto reasons = [this] {
    std::set<std::string> found;
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name != "cytopress_classify_refused_total") continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        found.insert(metric.label.at(0).value);
      }
    }
    return found;
  };
  const std::set<std::string> before = reasons();
  for (const char* reason : {"DEADLINE_UNREACHABLE", "OUT_OF_MEMORY", "QUEUE_FULL", "SHUTTING_DOWN",
                             "TOO_MANY_STREAMS"}) {
    metrics_.OnRefused(reason);
  }
  EXPECT_EQ(reasons(), before);
  // Another one comes with its first refusal.
  metrics_.OnRefused("TOO_LATE");
  EXPECT_EQ(reasons().count("too_late"), 1u);
  metrics_.OnRefused("QUEUE_FULL");
  EXPECT_EQ(Refused("queue_full"), 2);
  EXPECT_EQ(Refused("too_late"), 1);
}

TEST_F(ServingMetricsTest, VersionsAreUnloadedWhileOthersAreServed) {
  std::thread unloads([&] {
    for (int version = 1; version <= 500; ++version) metrics_.OnUnloaded({"cells", version});
  });
  for (int version = 1; version <= 500; ++version) Serve({"cells", version});
  unloads.join();
  for (int version = 1; version <= 500; ++version) metrics_.OnUnloaded({"cells", version});
  EXPECT_LE(Versions().size(), 32u);
}

}  // namespace
}  // namespace cytopress
