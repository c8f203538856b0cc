#include "core/base/problem_log.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace cytopress {

ProblemLog::ProblemLog(std::string what) : what_(std::move(what)) {}

bool ProblemLog::Failed(const absl::Status& status) {
  const std::string problem = status.ok() ? "" : status.ToString();
  if (problem != last_problem_ && !problem.empty()) spdlog::warn("{}: {}", what_, problem);
  last_problem_ = problem;
  return !status.ok();
}

}  // namespace cytopress
