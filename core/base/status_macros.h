// Early return on an error status. The caller returns absl::Status or absl::StatusOr.
#ifndef CYTOPRESS_CORE_BASE_STATUS_MACROS_H_
#define CYTOPRESS_CORE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define CYTOPRESS_RETURN_IF_ERROR(expr)                               \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

#define CYTOPRESS_CONCAT_INNER_(a, b) a##b
#define CYTOPRESS_CONCAT_(a, b) CYTOPRESS_CONCAT_INNER_(a, b)
#define CYTOPRESS_ASSIGN_OR_RETURN(lhs, expr) \
  CYTOPRESS_ASSIGN_OR_RETURN_(CYTOPRESS_CONCAT_(status_or_, __LINE__), lhs, expr)
#define CYTOPRESS_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return std::move(tmp).status();    \
  lhs = *std::move(tmp)

#endif  // CYTOPRESS_CORE_BASE_STATUS_MACROS_H_
