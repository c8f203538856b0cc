// Addresses that servers listen on and clients connect to.
#ifndef CYTOPRESS_CORE_BASE_ADDRESS_H_
#define CYTOPRESS_CORE_BASE_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// Whether it is a socket of this machine ("unix:PATH", "unix-abstract:NAME"), which has no port.
bool IsUnixSocket(absl::string_view address);

// Whether only this machine reaches it, without a proxy: such a socket, or the loopback.
bool IsLocal(absl::string_view address);

// INVALID_ARGUMENT for "host:port" with a port above 65535, of which gRPC would take the lower 16
// bits, or with one that is no number, for which it would take 0; it knows "http" and "https". What
// has no such port ("unix:/path", "dns:///name") is left to gRPC.
absl::Status CheckPort(absl::string_view address);

// INVALID_ARGUMENT unless it is "HOST:PORT" with a host and such a port in digits; an IPv6 address
// is in brackets.
absl::Status CheckHostPort(absl::string_view address);

// UNAVAILABLE where somebody listens on the socket of "unix:PATH". gRPC removes the file and puts
// its own in its place, which is right for one left behind, but would cut off a server that is
// there. OK for all other addresses: of a taken port the kernel tells.
absl::Status CheckSocketIsFree(const std::string& address);

// Of this machine; `fallback` where it has none.
std::string HostName(absl::string_view fallback);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_ADDRESS_H_
