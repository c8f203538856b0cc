// The short names of the states of jobs.
#ifndef CYTOPRESS_CLIENT_CLI_NAMES_H_
#define CYTOPRESS_CLIENT_CLI_NAMES_H_

#include <map>
#include <string>

#include "cytopress/v1/job.pb.h"

namespace cytopress {

const std::map<std::string, v1::JobState>& JobStatesByName();  // "queued" ... "cancelled"

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_NAMES_H_
