// Logs what keeps failing, such as a database that is away.
#ifndef CYTOPRESS_CORE_BASE_PROBLEM_LOG_H_
#define CYTOPRESS_CORE_BASE_PROBLEM_LOG_H_

#include <string>

#include "absl/status/status.h"

namespace cytopress {

// Thread-compatible.
class ProblemLog {
 public:
  // `what` begins every line: "supervisor".
  explicit ProblemLog(std::string what);

  // Whether `status` is an error. Warns of one that differs from the last call's, so that a problem
  // is logged once and not at every try.
  bool Failed(const absl::Status& status);

 private:
  const std::string what_;
  std::string last_problem_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_PROBLEM_LOG_H_
