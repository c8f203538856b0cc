// Which classes an evaluation takes for which.
#ifndef CYTOPRESS_CLIENT_CLI_CONFUSION_H_
#define CYTOPRESS_CLIENT_CLI_CONFUSION_H_

#include <ostream>

#include "cytopress/v1/model.pb.h"

namespace cytopress {

// On the split that `measured` names, of each class how many images were right, what its errors
// were mostly taken for and, unless `stored` is null, the recall there. Then all of the matrix,
// where it has at most 12 classes and fits into `columns`; 0: any number. REQUIRES: `measured` has
// the confusion of the model's classes.
void PrintRecall(const v1::Model& model, const v1::Evaluation& measured,
                 const v1::Evaluation* stored, int columns, std::ostream* out);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CONFUSION_H_
