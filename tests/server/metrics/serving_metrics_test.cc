#include "server/metrics/serving_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

namespace cytopress {
namespace {

using ::testing::UnorderedElementsAre;

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

  prometheus::Registry registry_;
  ServingMetrics metrics_{&registry_};
};

TEST_F(ServingMetricsTest, TheLastVersionsThatWereUnloadedAreKept) {
  for (int version = 1; version <= 11; ++version) Serve({"cells", version});
  for (int version = 1; version <= 10; ++version) metrics_.OnUnloaded({"cells", version});
  EXPECT_THAT(Versions(), UnorderedElementsAre("3", "4", "5", "6", "7", "8", "9", "10", "11"));
  EXPECT_EQ(Versions("cytopress_classify_request_seconds").size(), 9u);
  EXPECT_EQ(Images("3"), 2);
}

TEST_F(ServingMetricsTest, EachNameHasItsOwn) {
  for (const char* name : {"blood", "cells"}) {
    for (int version = 1; version <= 8; ++version) {
      Serve({name, version});
      metrics_.OnUnloaded({name, version});
    }
  }
  EXPECT_EQ(Versions().size(), 8u);
  for (const prometheus::MetricFamily& family : registry_.Collect()) {
    if (family.name == "cytopress_classify_images_total") {
      EXPECT_EQ(family.metric.size(), 16u);
    }
  }
}

TEST_F(ServingMetricsTest, OneVersionMayComeAndGo) {
  for (int round = 0; round < 20; ++round) {
    Serve({"cells", 1});
    metrics_.OnUnloaded({"cells", 1});
  }
  EXPECT_EQ(Images("1"), 40);
  for (int version = 2; version <= 9; ++version) metrics_.OnUnloaded({"cells", version});
  EXPECT_EQ(Images("1"), -1);
  Serve({"cells", 1});
  EXPECT_EQ(Images("1"), 2);
}

TEST_F(ServingMetricsTest, VersionsAreUnloadedWhileOthersAreServed) {
  std::thread unloads([&] {
    for (int version = 1; version <= 500; ++version) metrics_.OnUnloaded({"cells", version});
  });
  for (int version = 1; version <= 500; ++version) Serve({"cells", version});
  unloads.join();
  for (int version = 1; version <= 500; ++version) metrics_.OnUnloaded({"cells", version});
  EXPECT_LE(Versions().size(), 8u);
}

}  // namespace
}  // namespace cytopress
