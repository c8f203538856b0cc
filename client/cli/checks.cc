#include "client/cli/checks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/address.h"

namespace cytopress {
namespace {

constexpr double kMostBytes = 1e18;  // fits into 64 bits
constexpr double kShortestTimeout = 0.001;
constexpr double kLongestTimeout = 30 * 24 * 3600;

// Of a host alone, gRPC would call port 0. "unix:PATH" and "dns:///NAME" have a scheme.
bool LacksPort(absl::string_view address) {
  if (IsUnixSocket(address) || absl::StrContains(address, "://")) return false;
  const size_t colon = address.rfind(':');
  return colon == absl::string_view::npos || colon + 1 == address.size() ||
         address.back() == ']';  // "[::1]"
}

}  // namespace

CLI::Validator Positive() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double number = 0;
        if (absl::SimpleAtod(text, &number) && std::isfinite(number) && number > 0) return "";
        return absl::StrCat("'", text, "' is not a number above 0");
      },
      ">0");
}

CLI::Validator NotNegative() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double number = 0;
        if (absl::SimpleAtod(text, &number) && std::isfinite(number) && number >= 0) return "";
        return absl::StrCat("'", text, "' is not a number of at least 0");
      },
      ">=0");
}

CLI::Validator AtLeast(uint64_t least) {
  return CLI::Validator(
      [least](std::string& text) -> std::string {
        uint64_t number = 0;
        if (absl::SimpleAtoi(text, &number) && number >= least) return "";
        return absl::StrCat("'", text, "' is not a whole number of at least ", least);
      },
      absl::StrCat(">=", least));
}

CLI::Validator Between(uint64_t least, uint64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) -> std::string {
        uint64_t number = 0;
        if (absl::SimpleAtoi(text, &number) && number >= least && number <= most) return "";
        return absl::StrCat("'", text, "' is not a whole number from ", least, " to ", most);
      },
      absl::StrCat(least, " to ", most));
}

CLI::Validator Share() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double number = 0;
        absl::string_view digits = text;
        const bool percent = absl::ConsumeSuffix(&digits, "%");
        const bool is_number = absl::SimpleAtod(digits, &number) && number >= 0;
        if (is_number && !percent && number < 1) return "";
        const bool may_be_percent = is_number && number < 100 && (percent || number > 1);
        return absl::StrCat("'", text, "' is not a share of at least 0 and below 1",
                            may_be_percent
                                ? absl::StrCat("; of ", number, " %, give ", number / 100)
                                : ", such as 0.8");
      },
      "SHARE");
}

CLI::Validator Bytes() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double number = 0;
        if (absl::SimpleAtod(text, &number) && number >= 1 && number <= kMostBytes) return "";
        return number < 1
                   ? absl::StrCat(number, " bytes are less than one; give a unit, such as ",
                                  "0.94MB")
                   : absl::StrCat(number, " bytes are more than a file can have; give at most ",
                                  kMostBytes);
      },
      "");
}

CLI::Validator Timeout() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double seconds = 0;
        if (absl::SimpleAtod(text, &seconds) && seconds >= kShortestTimeout &&
            seconds <= kLongestTimeout) {
          return "";
        }
        return absl::StrCat("'", text, "' is not a number of seconds from 0.001 to 2592000, which ",
                            "are 30 days");
      },
      "0.001 to 2592000");
}

CLI::Validator Address() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        if (text.empty()) return "no address is given; give HOST:PORT";
        for (const char* scheme : {"http://", "https://", "grpc://"}) {
          if (!absl::StartsWith(text, scheme)) continue;
          return absl::StrCat("'", text, "' is not HOST:PORT: leave ", scheme,
                              " out; --tls encrypts");
        }
        if (LacksPort(text)) {
          return absl::StrCat("'", text, "' has no port; give HOST:PORT, such as ",
                              absl::StripSuffix(text, ":"), ":8500");
        }
        return std::string(CheckPort(text).message());
      },
      "");
}

CLI::Validator OneOf(const std::vector<std::string>& names) {
  return CLI::Validator(
      [names](std::string& text) -> std::string {
        const auto name = std::find_if(names.begin(), names.end(), [&text](const auto& known) {
          return absl::EqualsIgnoreCase(known, text);
        });
        if (name == names.end()) {
          return absl::StrCat("'", text, "' is unknown; use one of ", absl::StrJoin(names, ", "));
        }
        text = *name;
        return "";
      },
      absl::StrCat("{", absl::StrJoin(names, ","), "}"));
}

}  // namespace cytopress
