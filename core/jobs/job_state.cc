#include "core/jobs/job_state.h"

#include <algorithm>

namespace cytopress {
namespace {

struct JobTransition {
  v1::JobState from;
  v1::JobState to;
};

constexpr JobTransition kLegalTransitions[] = {
    {v1::JOB_STATE_QUEUED, v1::JOB_STATE_LEASED},      // AcquireLease
    {v1::JOB_STATE_QUEUED, v1::JOB_STATE_CANCELLED},   // Cancel
    {v1::JOB_STATE_LEASED, v1::JOB_STATE_RUNNING},     // Start
    {v1::JOB_STATE_LEASED, v1::JOB_STATE_QUEUED},      // Release, Fail with attempts left, reaped
    {v1::JOB_STATE_LEASED, v1::JOB_STATE_FAILED},      // Fail, reaped with no attempts left
    {v1::JOB_STATE_LEASED, v1::JOB_STATE_CANCELLED},   // AcknowledgeCancel, reaped while cancelling
    {v1::JOB_STATE_RUNNING, v1::JOB_STATE_SUCCEEDED},  // Succeed
    {v1::JOB_STATE_RUNNING, v1::JOB_STATE_QUEUED},     // as from LEASED
    {v1::JOB_STATE_RUNNING, v1::JOB_STATE_FAILED},
    {v1::JOB_STATE_RUNNING, v1::JOB_STATE_CANCELLED},
};

constexpr v1::JobState kStates[] = {
    v1::JOB_STATE_QUEUED,    v1::JOB_STATE_LEASED, v1::JOB_STATE_RUNNING,
    v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_FAILED, v1::JOB_STATE_CANCELLED,
};

}  // namespace

bool IsLegalTransition(v1::JobState from, v1::JobState to) {
  return std::any_of(std::begin(kLegalTransitions), std::end(kLegalTransitions),
                     [&](const JobTransition& move) { return move.from == from && move.to == to; });
}

bool IsTerminal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

bool IsRetryable(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return false;
    default:
      // RESOURCE_EXHAUSTED too: memory and disk that another program used may be free again, and
      // the attempts are few.
      return true;
  }
}

bool IsHeld(v1::JobState state) {
  return state == v1::JOB_STATE_LEASED || state == v1::JOB_STATE_RUNNING;
}

absl::string_view StateName(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_QUEUED:
      return "queued";
    case v1::JOB_STATE_LEASED:
      return "leased";
    case v1::JOB_STATE_RUNNING:
      return "running";
    case v1::JOB_STATE_SUCCEEDED:
      return "succeeded";
    case v1::JOB_STATE_FAILED:
      return "failed";
    case v1::JOB_STATE_CANCELLED:
      return "cancelled";
    default:
      return "unknown";
  }
}

absl::Span<const v1::JobState> AllJobStates() { return kStates; }

}  // namespace cytopress
