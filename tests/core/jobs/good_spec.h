// A job's specification that is in order, for tests to change.
#ifndef CYTOPRESS_TESTS_CORE_JOBS_GOOD_SPEC_H_
#define CYTOPRESS_TESTS_CORE_JOBS_GOOD_SPEC_H_

#include "cytopress/v1/job.pb.h"

namespace cytopress {

inline v1::JobSpec GoodSpec() {
  v1::JobSpec spec;
  spec.set_model_name("blood");
  spec.mutable_dataset()->set_uri("synthetic");
  return spec;
}

// Parts of its recipe.
inline v1::TrainOptions* Train(v1::JobSpec* s) { return s->mutable_recipe()->mutable_train(); }
inline v1::PruneOptions* Prune(v1::JobSpec* s) { return s->mutable_recipe()->mutable_prune(); }
inline v1::QuantizeOptions* Quantize(v1::JobSpec* s) {
  return s->mutable_recipe()->mutable_quantize();
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_JOBS_GOOD_SPEC_H_
