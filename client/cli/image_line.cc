#include "client/cli/image_line.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cytopress {
namespace {

constexpr int kBarWidth = 24;

}  // namespace

std::string ImageLine::Done(int64_t images) const {
  const double share = static_cast<double>(images) / static_cast<double>(total_);
  return absl::StrFormat("classifying [%s] %d of %s", FormatBar(share, kBarWidth), images,
                         FormatImages(total_));
}

void ImageLine::Show(int64_t images) {
  if (!IsDue()) return;
  const double rate = static_cast<double>(images) / line_.seconds();
  std::string text = absl::StrFormat("%s  %.0f/s", Done(images), rate);
  if (images < total_ && rate > 0) {
    absl::StrAppend(&text, "  ETA ", FormatSeconds(static_cast<double>(total_ - images) / rate));
  }
  line_.Draw(text);
}

void ImageLine::ShowWaiting(int64_t images) {
  if (IsDue()) line_.Draw(absl::StrCat(Done(images), "  waiting for the server ..."));
}

}  // namespace cytopress
