#include "core/base/address.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace cytopress {

absl::Status CheckPort(absl::string_view address) {
  constexpr uint64_t kMost = 65535;
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || absl::StartsWith(address, "unix:")) {
    return absl::OkStatus();
  }
  const absl::string_view port = address.substr(colon + 1);
  if (!std::all_of(port.begin(), port.end(), absl::ascii_isdigit)) return absl::OkStatus();
  uint64_t number = 0;
  if (port.empty() || (absl::SimpleAtoi(port, &number) && number <= kMost)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", address, "\": port ", port, " does not exist; the largest is ", kMost));
}

}  // namespace cytopress
