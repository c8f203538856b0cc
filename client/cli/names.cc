#include "client/cli/names.h"

#include "core/jobs/job_state.h"

namespace cytopress {

const std::map<std::string, v1::JobState>& JobStatesByName() {
  static const auto* const kNames = [] {
    auto* names = new std::map<std::string, v1::JobState>;
    for (const v1::JobState state : AllJobStates()) (*names)[std::string(StateName(state))] = state;
    return names;
  }();
  return *kNames;
}

}  // namespace cytopress
