#include "client/cli/transfer_line.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

constexpr int kBarWidth = 24;

}  // namespace

TransferLine::~TransferLine() {
  if (drawn_) *console_.out << '\r' << kClearToEnd << std::flush;
}

void TransferLine::Show(int64_t bytes, int64_t total) {
  const absl::Duration now = clock_->Steady();
  if (!console_.terminal || now < due_) return;
  due_ = now + kInterval;
  const double rate = static_cast<double>(bytes) / absl::ToDoubleSeconds(now - started_);
  std::string line = absl::StrCat(action_, " ");
  if (total > 0) {
    const double share = static_cast<double>(bytes) / static_cast<double>(total);
    absl::StrAppend(&line, "[", FormatBar(share, kBarWidth), "] ");
  }
  absl::StrAppend(&line, FormatBytes(bytes));
  if (total > 0) absl::StrAppend(&line, " of ", FormatBytes(total));
  absl::StrAppend(&line, "  ", FormatBytes(static_cast<int64_t>(rate)), "/s");
  if (total > bytes && rate > 0) {
    absl::StrAppend(&line, "  ETA ", FormatSeconds(static_cast<double>(total - bytes) / rate));
  }
  *console_.out << '\r' << line.substr(0, std::max(console_.columns - 1, 0)) << kClearToEnd
                << std::flush;
  drawn_ = true;
}

}  // namespace cytopress
