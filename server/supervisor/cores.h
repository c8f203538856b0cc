// Which cores a process may use.
#ifndef CYTOPRESS_SERVER_SUPERVISOR_CORES_H_
#define CYTOPRESS_SERVER_SUPERVISOR_CORES_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// "0,2-3", as taskset and the kernel write it; sorted, each once. INVALID_ARGUMENT otherwise.
absl::StatusOr<std::vector<int>> ParseCores(absl::string_view list);

// INVALID_ARGUMENT when this process may not use all of `cores`.
absl::Status CheckUsable(const std::vector<int>& cores);

// Those that this process may use, without those of `taken`.
std::vector<int> OtherCores(const std::vector<int>& taken);

// Of all threads that `pid` (0: this one) starts from now on, and of its first. INVALID_ARGUMENT
// when none of `cores` can be used here.
absl::Status UseCores(pid_t pid, const std::vector<int>& cores);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_SUPERVISOR_CORES_H_
