#include "server/supervisor/cores.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace cytopress {

absl::StatusOr<std::vector<int>> ParseCores(absl::string_view list) {
  std::set<int> cores;
  for (const absl::string_view part : absl::StrSplit(list, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(part, absl::MaxSplits('-', 1));
    int first = 0;
    int last = 0;
    const bool range = part.find('-') != absl::string_view::npos;
    if (!absl::SimpleAtoi(ends.first, &first) ||
        !absl::SimpleAtoi(range ? ends.second : ends.first, &last) || first < 0 || last < first ||
        last >= CPU_SETSIZE) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", list, "\" is no list of cores such as 0,2-3"));
    }
    for (int core = first; core <= last; ++core) cores.insert(core);
  }
  return std::vector<int>(cores.begin(), cores.end());
}

absl::Status CheckUsable(const std::vector<int>& cores) {
  const std::vector<int> usable = OtherCores({});
  for (const int core : cores) {
    if (!std::binary_search(usable.begin(), usable.end(), core)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "core ", core,
          " is none of those that this process may use: ", absl::StrJoin(usable, ",")));
    }
  }
  return absl::OkStatus();
}

std::vector<int> OtherCores(const std::vector<int>& taken) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  for (const int core : taken) CPU_CLR(core, &allowed);
  std::vector<int> others;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) others.push_back(core);
  }
  return others;
}

absl::Status UseCores(pid_t pid, const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  if (sched_setaffinity(pid, sizeof(set), &set) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cores ", absl::StrJoin(cores, ","), ": ", std::strerror(errno)));
}

}  // namespace cytopress
