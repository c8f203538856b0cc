#include "client/format.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "core/base/amounts.h"

namespace cytopress {

namespace {

// How many bytes at the front of `text`, which is not empty, are a control character in UTF-8: of
// ASCII, of U+0080 to U+009F, or of those that turn the direction of writing; 0 for others.
size_t ControlBytes(absl::string_view text) {
  const auto in = [text](size_t at, unsigned char first, unsigned char last) {
    const auto byte = static_cast<unsigned char>(at < text.size() ? text[at] : '\0');
    return first <= byte && byte <= last;
  };
  if (absl::ascii_iscntrl(static_cast<unsigned char>(text[0]))) return 1;
  if (in(0, 0xC2, 0xC2) && in(1, 0x80, 0x9F)) return 2;
  if (in(0, 0xE2, 0xE2) && in(1, 0x80, 0x80) && in(2, 0xAA, 0xAE)) return 3;  // U+202A to U+202E
  if (in(0, 0xE2, 0xE2) && in(1, 0x81, 0x81) && in(2, 0xA6, 0xA9)) return 3;  // U+2066 to U+2069
  return 0;
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t control = ControlBytes(text);
    result.push_back(control > 0 ? '?' : text[0]);
    text.remove_prefix(control > 0 ? control : 1);
  }
  return result;
}

std::string Quoted(absl::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("-_./:@,+=", static_cast<char>(c));
  });
  if (plain) return std::string(word);
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

std::string FormatBytes(int64_t bytes) { return ReadableBytes(bytes); }

std::string FormatSeconds(double seconds) {
  if (seconds < 0.1) return absl::StrFormat("%.0f ms", 1e3 * seconds);
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return absl::StrFormat("%d:%02d min", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d:%02d h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatMilliseconds(double seconds) { return absl::StrFormat("%.2f ms", 1e3 * seconds); }

std::string FormatPercent(double fraction, int digits) {
  if (std::isnan(fraction)) return "-";
  return absl::StrFormat("%.*f %%", digits, 100 * fraction);
}

std::string FormatFigure(double value, int digits) {
  return std::isnan(value) ? "-" : absl::StrFormat("%.*f", digits, value);
}

std::string FormatImages(int64_t count) {
  return absl::StrCat(count, count == 1 ? " image" : " images");
}

std::string FormatTimestamp(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M %Z", absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

std::string FormatBar(double fraction, int width) {
  const int full = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * width));
  return std::string(full, '#') + std::string(width - full, '.');
}

}  // namespace cytopress
