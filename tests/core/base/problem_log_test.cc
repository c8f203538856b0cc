#include "core/base/problem_log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>

namespace cytopress {
namespace {

TEST(ProblemLog, WarnsOnceOfWhatKeepsFailing) {
  std::ostringstream lines;
  const auto before = spdlog::default_logger();
  const auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  logger->set_pattern("%v");
  spdlog::set_default_logger(logger);

  ProblemLog log("store");
  const absl::Status away = absl::UnavailableError("away");
  EXPECT_TRUE(log.Failed(away));
  EXPECT_TRUE(log.Failed(away));
  EXPECT_TRUE(log.Failed(absl::UnavailableError("full")));
  EXPECT_FALSE(log.Failed(absl::OkStatus()));
  EXPECT_TRUE(log.Failed(away));  // again, after it had passed
  spdlog::set_default_logger(before);
  EXPECT_EQ(lines.str(),
            "store: UNAVAILABLE: away\nstore: UNAVAILABLE: full\nstore: UNAVAILABLE: away\n");
}

}  // namespace
}  // namespace cytopress
