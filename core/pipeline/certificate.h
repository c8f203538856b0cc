// What compression cost, as a statement that goes with the model.
#ifndef CYTOPRESS_CORE_PIPELINE_CERTIFICATE_H_
#define CYTOPRESS_CORE_PIPELINE_CERTIFICATE_H_

#include "absl/status/statusor.h"
#include "core/compression/scoring.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Compares a file's test scores with those of its dense parent, if it has one, on the same images:
// the parent's own scores where it was measured on this data set, else it is measured now. Also
// measures the stored weights in floating-point arithmetic and the time of one image alone on one
// thread. `test` has the bits of the images that are right.
absl::StatusOr<v1::Certificate> Certify(const PipelineState& state, const Artifact& artifact,
                                        const v1::Evaluation& test,
                                        const ShareDone& done = nullptr);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_CERTIFICATE_H_
