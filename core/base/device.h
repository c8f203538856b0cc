// Names of the devices that compute.
#ifndef CYTOPRESS_CORE_BASE_DEVICE_H_
#define CYTOPRESS_CORE_BASE_DEVICE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// "cpu" or "cuda:N", N of at most three digits; "cuda:00" becomes "cuda:0", so that names of one
// device are equal. INVALID_ARGUMENT otherwise.
absl::StatusOr<std::string> ParseDeviceName(absl::string_view name);

// For validators of flags: writes the name as ParseDeviceName returns it. Empty, or what is wrong.
std::string NormalizeDevice(std::string& device);

// N of "cuda:N"; nothing for the processor. REQUIRES: what ParseDeviceName returns.
std::optional<int> GpuIndex(absl::string_view device);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_DEVICE_H_
