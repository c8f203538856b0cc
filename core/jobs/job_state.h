// The states of a job and the moves between them. docs/job-states.md says what each move means and
// who makes it.
#ifndef CYTOPRESS_CORE_JOBS_JOB_STATE_H_
#define CYTOPRESS_CORE_JOBS_JOB_STATE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// The store makes no move that is not legal, but of a row that is damaged, which fails from any
// state.
bool IsLegalTransition(v1::JobState from, v1::JobState to);

// SUCCEEDED, FAILED and CANCELLED: no move leads out of them.
bool IsTerminal(v1::JobState state);

// Whether a job whose attempt ended with this error is tried again, while it has attempts left. Not
// after INVALID_ARGUMENT, FAILED_PRECONDITION, NOT_FOUND, OUT_OF_RANGE and UNIMPLEMENTED.
bool IsRetryable(const absl::Status& error);

// LEASED and RUNNING: a worker holds the job.
bool IsHeld(v1::JobState state);

// "queued", "running", ...; "unknown" for a number that is no state.
absl::string_view StateName(v1::JobState state);

// QUEUED to CANCELLED, in the order of the enum.
absl::Span<const v1::JobState> AllJobStates();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_JOB_STATE_H_
