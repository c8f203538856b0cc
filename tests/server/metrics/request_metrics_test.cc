#include "server/metrics/request_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "tests/captured_log.h"

namespace cytopress {
namespace {

using ::testing::Each;
using ::testing::Key;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class RequestMetricsTest : public testing::Test {
 protected:
  // A call of `method` ends with `code`.
  void End(const std::string& method, grpc::StatusCode code) {
    metrics_.Observe(method, grpc::Status(code, ""), absl::Milliseconds(1));
  }

  // The counters of a family, by code; of one method where the family has methods.
  std::map<std::string, double> ByCode(const std::string& family_name,
                                       const std::string& method = "") {
    std::map<std::string, double> values;
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name != family_name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        std::map<std::string, std::string> labels;
        for (const auto& label : metric.label) labels[label.name] = label.value;
        if (labels["method"] == method) values[labels["code"]] = metric.counter.value;
      }
    }
    return values;
  }

  prometheus::Registry registry_;
  RequestMetrics metrics_{&registry_, RealClock()};
};

TEST_F(RequestMetricsTest, ErrorsThatTheObjectiveCountsAreThereBeforeTheFirst) {
  for (const std::map<std::string, double>& values :
       {ByCode("cytopress_requests_total", "Classify"),
        ByCode("cytopress_requests_total", "ClassifyStream"),
        ByCode("cytopress_stream_messages_total")}) {
    EXPECT_THAT(values,
                UnorderedElementsAre(Key("OK"), Key("UNKNOWN"), Key("DEADLINE_EXCEEDED"),
                                     Key("RESOURCE_EXHAUSTED"), Key("FAILED_PRECONDITION"),
                                     Key("INTERNAL"), Key("UNAVAILABLE"), Key("DATA_LOSS")));
    EXPECT_THAT(values, Each(Pair(testing::_, 0)));
  }
}

TEST_F(RequestMetricsTest, TheyAreCountedInTheSeriesThatAreThere) {
  End("Classify", grpc::StatusCode::UNAVAILABLE);
  End("Classify", grpc::StatusCode::UNAVAILABLE);
  google::rpc::Status bad_message;
  bad_message.set_code(static_cast<int>(absl::StatusCode::kInternal));
  metrics_.ObserveStreamMessage(bad_message);
  EXPECT_EQ(ByCode("cytopress_requests_total", "Classify")["UNAVAILABLE"], 2);
  EXPECT_EQ(ByCode("cytopress_requests_total", "ClassifyStream")["UNAVAILABLE"], 0);
  EXPECT_EQ(ByCode("cytopress_requests_total", "Classify").size(), 8u);
  EXPECT_EQ(ByCode("cytopress_stream_messages_total")["INTERNAL"], 1);
  EXPECT_EQ(ByCode("cytopress_stream_messages_total").size(), 8u);
}

TEST_F(RequestMetricsTest, FaultsOfTheServerAreLogged) {
  const CapturedLog log;
  metrics_.Observe("GetJob", grpc::Status(grpc::StatusCode::INTERNAL, "no table"),
                   absl::Milliseconds(1));
  google::rpc::Status damaged;
  damaged.set_code(static_cast<int>(absl::StatusCode::kDataLoss));
  damaged.set_message("damaged model");
  // As server/status.h puts it into the details.
  metrics_.Observe("Classify",
                   grpc::Status(grpc::StatusCode::DATA_LOSS, "", damaged.SerializeAsString()),
                   absl::Milliseconds(1));
  metrics_.ObserveStreamMessage(damaged);
  for (const char* method : {"Classify", "CancelJob"}) {
    metrics_.Observe(method, grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "it cannot be"),
                     absl::Milliseconds(1));
  }
  EXPECT_EQ(log.text(),
            "warning: GetJob failed: INTERNAL: no table\n"
            "warning: Classify failed: DATA_LOSS: damaged model\n"
            "warning: ClassifyStream failed: DATA_LOSS: damaged model\n"
            "warning: Classify failed: FAILED_PRECONDITION: it cannot be\n");
}

TEST_F(RequestMetricsTest, OtherMethodsAndCodesComeWithTheirFirstCall) {
  EXPECT_TRUE(ByCode("cytopress_requests_total", "ListJobs").empty());
  End("ListJobs", grpc::StatusCode::OK);
  End("Classify", grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(ByCode("cytopress_requests_total", "ListJobs"), UnorderedElementsAre(Pair("OK", 1)));
  EXPECT_EQ(ByCode("cytopress_requests_total", "Classify")["NOT_FOUND"], 1);
}

}  // namespace
}  // namespace cytopress
