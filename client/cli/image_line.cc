#include "client/cli/image_line.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cytopress {
namespace {

constexpr int kBarWidth = 24;

}  // namespace

void ImageLine::Show(int64_t images) {
  if (total_ <= 0 || !line_.IsDue()) return;
  const double rate = static_cast<double>(images) / line_.seconds();
  std::string text = absl::StrFormat(
      "classifying [%s] %d of %s  %.0f/s",
      FormatBar(static_cast<double>(images) / static_cast<double>(total_), kBarWidth), images,
      FormatImages(total_), rate);
  if (images < total_ && rate > 0) {
    absl::StrAppend(&text, "  ETA ", FormatSeconds(static_cast<double>(total_ - images) / rate));
  }
  line_.Draw(text);
}

}  // namespace cytopress
