// How a model is shown.
#ifndef CYTOPRESS_CLIENT_CLI_MODEL_VIEW_H_
#define CYTOPRESS_CLIENT_CLI_MODEL_VIEW_H_

#include <ostream>
#include <vector>

#include "cytopress/v1/model.pb.h"

namespace cytopress {

// The evaluation on the test split, else the last one, else null.
const v1::Evaluation* MainEvaluation(const v1::Model& model);

// A line each. Less important columns are left out where `columns` are too few (Table in
// client/cli/console.h).
void PrintModelTable(const std::vector<v1::Model>& models, std::ostream* out, int columns = 0);
// Network, sizes and scores in a few lines.
void PrintModelSummary(const v1::Model& model, std::ostream* out);
// What was lost against the dense model, and what the guard found on the way; nothing where there
// is neither.
void PrintLosses(const v1::Model& model, std::ostream* out);
// All that is known: the summary, provenance, certificate, ledger, recall of each class, confusion
// matrix. Notes of the ledger end at `columns` (Fitting in client/cli/console.h).
void PrintModelDetails(const v1::Model& model, std::ostream* out, int columns = 0);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_MODEL_VIEW_H_
