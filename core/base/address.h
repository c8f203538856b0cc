// Addresses that servers listen on and clients connect to.
#ifndef CYTOPRESS_CORE_BASE_ADDRESS_H_
#define CYTOPRESS_CORE_BASE_ADDRESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// INVALID_ARGUMENT for "host:port" with a port above 65535, of which gRPC would take the lower 16
// bits. What has no such port ("unix:/path", "dns:///name") is left to gRPC.
absl::Status CheckPort(absl::string_view address);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_ADDRESS_H_
