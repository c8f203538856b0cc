// Where the content of report.html comes from: the service and, if it can be read here, the data
// set.
#ifndef CYTOPRESS_CLIENT_REPORT_SOURCE_H_
#define CYTOPRESS_CLIENT_REPORT_SOURCE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/report/report_data.h"

namespace cytopress {

// The newest version of `name` that the job made, if there is one.
absl::StatusOr<std::optional<v1::Model>> FindModel(Client* client, const std::string& name,
                                                   const std::string& job_id);

// The models that a job has made so far and, of a sweep, the places of those that it has not, by
// sparsity, then weight type.
absl::StatusOr<std::vector<ReportCell>> CollectCells(Client* client, const v1::Job& job);

// `references` are ids of jobs, "name" or "name@version". NOT_FOUND names the one that is neither.
absl::StatusOr<ReportData> CollectReport(Client* client,
                                         const std::vector<std::string>& references);

// The share of weights that the job of `model` was asked to remove from it; where its name or its
// recipe does not tell, the share that is zero, to a whole percent.
double AskedSparsity(const v1::Model& model);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_SOURCE_H_
