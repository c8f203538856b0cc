#include "client/cli/amount_line.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

constexpr int kBarWidth = 24;

}  // namespace

AmountUnit AmountLine::Bytes() { return {FormatBytes, FormatBytes}; }

AmountUnit AmountLine::Images() {
  return {[](int64_t count) { return absl::StrCat(count); }, FormatImages};
}

std::string AmountLine::Done(int64_t done, int64_t total) const {
  if (total <= 0) return absl::StrCat(action_, " ", unit_.part(done));
  const double share = static_cast<double>(done) / static_cast<double>(total);
  return absl::StrCat(action_, " [", FormatBar(share, kBarWidth), "] ", unit_.part(done), " of ",
                      unit_.total(total));
}

void AmountLine::Show(int64_t done, int64_t total) {
  if (!line_.IsDue()) return;
  const double rate = static_cast<double>(done) / line_.seconds();
  std::string text = absl::StrCat(Done(done, total), "  ", unit_.part(std::llround(rate)), "/s");
  if (total > done && rate > 0) {
    absl::StrAppend(&text, "  ETA ", FormatSeconds(static_cast<double>(total - done) / rate));
  }
  line_.Draw(text);
}

void AmountLine::ShowWaiting(int64_t done, int64_t total) {
  if (line_.IsDue()) line_.Draw(absl::StrCat(Done(done, total), "  waiting for the server ..."));
}

}  // namespace cytopress
