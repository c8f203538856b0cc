// Checks of a job's recipe.
#ifndef CYTOPRESS_CORE_JOBS_RECIPE_CHECKS_H_
#define CYTOPRESS_CORE_JOBS_RECIPE_CHECKS_H_

#include "core/jobs/spec_checker.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// Of a recipe; also in what it may not have beside a sweep or a goal.
void CheckRecipe(const v1::JobSpec& spec, SpecChecker* checker);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_RECIPE_CHECKS_H_
