// What a test's code logs.
#ifndef CYTOPRESS_TESTS_CAPTURED_LOG_H_
#define CYTOPRESS_TESTS_CAPTURED_LOG_H_

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

namespace cytopress {

// From its construction to its end, instead of to standard error.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    const auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_));
    logger->set_pattern("%l: %v");
    spdlog::set_default_logger(logger);
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  // Lines such as "warning: the disk is full". REQUIRES: no other thread logs now.
  std::string text() const { return lines_.str(); }

 private:
  std::ostringstream lines_;
  const std::shared_ptr<spdlog::logger> before_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CAPTURED_LOG_H_
