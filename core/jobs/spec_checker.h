// Collects what is wrong with a job's specification.
#ifndef CYTOPRESS_CORE_JOBS_SPEC_CHECKER_H_
#define CYTOPRESS_CORE_JOBS_SPEC_CHECKER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/jobs/job_spec.h"
#include "google/protobuf/generated_enum_reflection.h"

namespace cytopress {

inline constexpr int kMaxTextLength = 256;  // of names, in bytes

// Thread-compatible. Keeps at most kMaxViolations.
class SpecChecker {
 public:
  void Add(absl::string_view field, std::string description) {
    if (violations_.size() == kMaxViolations) return;
    violations_.push_back({std::string(field), std::move(description)});
  }

  // `value` in [low, high]; NaN never is.
  template <typename T>
  void InRange(absl::string_view field, T value, T low, T high) {
    if (value >= low && value <= high) return;
    Add(field, absl::StrCat(value, " is not between ", low, " and ", high));
  }

  // `value` in [0, 1).
  void IsFraction(absl::string_view field, double value) {
    if (value >= 0 && value < 1) return;
    Add(field, absl::StrCat(value, " is not at least 0 and less than 1"));
  }

  // `value` is one that the enumeration names.
  template <typename Enum>
  void IsValid(absl::string_view field, int value) {
    const google::protobuf::EnumDescriptor* type = google::protobuf::GetEnumDescriptor<Enum>();
    if (type->FindValueByNumber(value) != nullptr) return;
    std::vector<std::string> names;
    for (int i = 1; i < type->value_count(); ++i) names.push_back(type->value(i)->name());
    Add(field, absl::StrCat(value, " is unknown; give ", absl::StrJoin(names, " or ")));
  }

  std::vector<FieldViolation> Take() { return std::move(violations_); }

 private:
  std::vector<FieldViolation> violations_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_SPEC_CHECKER_H_
