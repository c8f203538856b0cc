#include "core/base/address.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace cytopress {

bool IsUnixSocket(absl::string_view address) {
  return absl::StartsWith(address, "unix:") || absl::StartsWith(address, "unix-abstract:");
}

bool IsLocal(absl::string_view address) {
  if (IsUnixSocket(address)) return true;
  absl::ConsumePrefix(&address, "dns:///");
  return address == "localhost" || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "127.") || absl::StartsWith(address, "[::1]");
}

absl::Status CheckPort(absl::string_view address) {
  constexpr uint64_t kMost = 65535;
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || IsUnixSocket(address)) return absl::OkStatus();
  const absl::string_view port = address.substr(colon + 1);
  if (port.empty() || port == "http" || port == "https") return absl::OkStatus();
  if (absl::StrContains(port, '/') || absl::EndsWith(port, "]")) return absl::OkStatus();  // none
  // "dns:cells", "fe80::a": a scheme of gRPC's or an address without brackets, and no port either.
  const absl::string_view host = address.substr(0, colon);
  const bool is_scheme = host == "dns" || host == "ipv4" || host == "ipv6";
  const bool is_ipv6 = absl::StrContains(host, ':') && !absl::StrContains(host, ']') &&
                       !absl::StrContains(host, '/');
  if (is_scheme || is_ipv6) return absl::OkStatus();
  if (!std::all_of(port.begin(), port.end(), absl::ascii_isdigit)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\": port ", port, " is no number, such as 8500"));
  }
  uint64_t number = 0;
  if (absl::SimpleAtoi(port, &number) && number <= kMost) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", address, "\": port ", port, " does not exist; the largest is ", kMost));
}

absl::Status CheckHostPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  const bool has_port =
      colon != absl::string_view::npos && colon + 1 < address.size() &&
      std::all_of(address.begin() + colon + 1, address.end(), absl::ascii_isdigit);
  const absl::string_view host = address.substr(0, has_port ? colon : 0);
  const bool in_brackets = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (host.empty() || (!in_brackets && absl::StrContains(host, ':'))) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no HOST:PORT such as 127.0.0.1:8500 or [::1]:8500"));
  }
  return CheckPort(address);
}

absl::Status CheckSocketIsFree(const std::string& address) {
  absl::string_view path = address;
  if (!absl::ConsumePrefix(&path, "unix:")) return absl::OkStatus();
  absl::ConsumePrefix(&path, "//");  // "unix:///absolute"
  sockaddr_un socket_address = {};
  socket_address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(socket_address.sun_path)) return absl::OkStatus();  // gRPC will tell
  path.copy(socket_address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::OkStatus();
  const bool answers =
      connect(fd, reinterpret_cast<const sockaddr*>(&socket_address), sizeof(socket_address)) == 0;
  close(fd);
  if (!answers) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("another server listens on ", address));
}

std::string HostName(absl::string_view fallback) {
  char name[256] = {};
  const bool has_name = gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0';
  return has_name ? name : std::string(fallback);
}

}  // namespace cytopress
