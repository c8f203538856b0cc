// What an absent field of a job's specification stands for.
#ifndef CYTOPRESS_CORE_JOBS_JOB_DEFAULTS_H_
#define CYTOPRESS_CORE_JOBS_JOB_DEFAULTS_H_

#include "cytopress/v1/job.pb.h"

namespace cytopress {

// The spec with every field that is absent, or zero where zero is no choice, set to what will be
// used: what is stored, run and shown. Without a base model there is always a training stage; with
// one there is none, and no network. Quantization is always there (FP16 when nothing was asked).
// Pruning and fine-tuning are never added.
v1::JobSpec WithDefaults(v1::JobSpec spec);

// Whether the job trains a dense model that later stages are measured against or learn from, and
// publishes it as ParentModelName says. `spec` has its defaults.
bool PublishesParent(const v1::JobSpec& spec);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_JOB_DEFAULTS_H_
