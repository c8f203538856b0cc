#include "core/base/device.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace cytopress {
namespace {

constexpr size_t kMaxDigits = 3;

}  // namespace

absl::StatusOr<std::string> ParseDeviceName(absl::string_view name) {
  if (name == "cpu") return std::string(name);
  absl::string_view digits = name;
  int number = 0;
  // SimpleAtoi also takes signs and spaces.
  if (absl::ConsumePrefix(&digits, "cuda:") && digits.size() <= kMaxDigits &&
      std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) &&
      absl::SimpleAtoi(digits, &number)) {
    return absl::StrCat("cuda:", number);
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is neither cpu nor cuda:N"));
}

std::string NormalizeDevice(std::string& device) {
  const absl::StatusOr<std::string> name = ParseDeviceName(device);
  if (!name.ok()) return std::string(name.status().message());
  device = *name;
  return "";
}

std::optional<int> GpuIndex(absl::string_view device) {
  int index = 0;
  if (!absl::ConsumePrefix(&device, "cuda:") || !absl::SimpleAtoi(device, &index)) {
    return std::nullopt;
  }
  return index;
}

}  // namespace cytopress
