// One registry a database: whoever takes a job has to see the model that it makes.
#ifndef CYTOPRESS_CORE_JOBS_REGISTRY_BINDING_H_
#define CYTOPRESS_CORE_JOBS_REGISTRY_BINDING_H_

#include "absl/status/status.h"
#include "core/jobs/job_store.h"
#include "core/registry/model_registry.h"

namespace cytopress {

// For every server and worker, before it works with both. The first one notes the registry in the
// database; one that cannot be written is not noted. FAILED_PRECONDITION when the database's jobs
// publish in another one: names both and what to do, of a folder without an id first of all that it
// may not be mounted.
absl::Status BindRegistry(ModelRegistry* registry, JobStore* store);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_REGISTRY_BINDING_H_
