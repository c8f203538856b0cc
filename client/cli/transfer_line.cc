#include "client/cli/transfer_line.h"

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

constexpr int kBarWidth = 24;

}  // namespace

void TransferLine::Show(int64_t bytes, int64_t total) {
  if (!line_.IsDue()) return;
  const double rate = static_cast<double>(bytes) / line_.seconds();
  std::string text = absl::StrCat(action_, " ");
  if (total > 0) {
    const double share = static_cast<double>(bytes) / static_cast<double>(total);
    absl::StrAppend(&text, "[", FormatBar(share, kBarWidth), "] ");
  }
  absl::StrAppend(&text, FormatBytes(bytes));
  if (total > 0) absl::StrAppend(&text, " of ", FormatBytes(total));
  absl::StrAppend(&text, "  ", FormatBytes(static_cast<int64_t>(rate)), "/s");
  if (total > bytes && rate > 0) {
    absl::StrAppend(&text, "  ETA ", FormatSeconds(static_cast<double>(total - bytes) / rate));
  }
  line_.Draw(text);
}

}  // namespace cytopress
