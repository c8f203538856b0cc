#include "client/cli/image_line.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cytopress {
namespace {

constexpr int kBarWidth = 24;

}  // namespace

ImageLine::~ImageLine() {
  if (drawn_) *console_.err << '\r' << kClearToEnd << std::flush;
}

void ImageLine::Show(int64_t images) {
  const absl::Duration now = clock_->Steady();
  if (!console_.err_terminal || total_ <= 0 || now < due_) return;
  due_ = now + kInterval;
  const double rate = static_cast<double>(images) / absl::ToDoubleSeconds(now - started_);
  std::string line = absl::StrFormat(
      "classifying [%s] %d of %s  %.0f/s",
      FormatBar(static_cast<double>(images) / static_cast<double>(total_), kBarWidth), images,
      FormatImages(total_), rate);
  if (images < total_ && rate > 0) {
    absl::StrAppend(&line, "  ETA ", FormatSeconds(static_cast<double>(total_ - images) / rate));
  }
  *console_.err << '\r' << line.substr(0, std::max(console_.columns - 1, 0)) << kClearToEnd
                << std::flush;
  drawn_ = true;
}

}  // namespace cytopress
