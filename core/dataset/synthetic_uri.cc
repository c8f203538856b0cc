#include "core/dataset/synthetic_uri.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr absl::string_view kSynthetic = "synthetic";
constexpr int64_t kDefaultImages = 6000;
constexpr int64_t kMinImages = 100;
constexpr int64_t kMaxImages = 10'000'000;

}  // namespace

bool IsSynthetic(absl::string_view uri) {
  return absl::ConsumePrefix(&uri, kSynthetic) && (uri.empty() || uri[0] == ':');
}

absl::Status CheckSyntheticImages(int64_t images) {
  if (images >= kMinImages && images <= kMaxImages) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("synthetic:", images, " images; needed are ", kMinImages, " to ", kMaxImages));
}

absl::StatusOr<int64_t> SyntheticImages(absl::string_view uri) {
  int64_t images = kDefaultImages;
  if (uri != kSynthetic && !absl::SimpleAtoi(uri.substr(kSynthetic.size() + 1), &images)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data set '", uri, "'; needed is synthetic or synthetic:N, N a number of images"));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckSyntheticImages(images));
  return images;
}

}  // namespace cytopress
