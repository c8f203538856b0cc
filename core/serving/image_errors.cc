#include "core/serving/image_errors.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

// An answer has room for so many complaints about images.
constexpr int kMaxReportedImages = 8;

std::string WhatIsWrong(const absl::Status& status) {
  if (!absl::IsOutOfRange(status)) return std::string(status.message());
  return absl::StrCat(status.message(),
                      "; send a smaller one, or start cytopressd with a larger "
                      "--max-image-megapixels");
}

// Of the first one of so many bad images.
absl::Status First(const std::string& field, const std::string& what, size_t images) {
  const std::string others =
      images > 1 ? absl::StrCat("; and ", images - 1, images == 2 ? " more image" : " more images")
                 : "";
  return WithReason(
      WithFieldViolation(absl::InvalidArgumentError(absl::StrCat(field, ": ", what, others)), field,
                         what),
      "INVALID_FIELD");
}

}  // namespace

absl::Status Summarize(const std::map<int, absl::Status>& bad_images) {
  absl::Status summary;
  int reported = 0;
  for (const auto& [index, status] : bad_images) {
    if (absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) return status;
    const std::string field = absl::StrCat("images[", index, "]");
    if (absl::IsResourceExhausted(status)) {
      return absl::ResourceExhaustedError(absl::StrCat(field, ": ", status.message()));
    }
    if (summary.ok()) {
      summary = First(field, WhatIsWrong(status), bad_images.size());
    } else if (reported < kMaxReportedImages) {
      summary = WithFieldViolation(std::move(summary), field, WhatIsWrong(status));
    }
    ++reported;
  }
  return summary;
}

}  // namespace cytopress
