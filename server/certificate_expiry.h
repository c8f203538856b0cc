// Until when a TLS certificate is good.
#ifndef CYTOPRESS_SERVER_CERTIFICATE_EXPIRY_H_
#define CYTOPRESS_SERVER_CERTIFICATE_EXPIRY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cytopress {

// The first end among the certificates of the file that --tls-cert names, as a chain is good for as
// long as all of it. INVALID_ARGUMENT where there is none, NOT_FOUND without the file.
absl::StatusOr<absl::Time> CertificateExpiry(const std::string& path);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_CERTIFICATE_EXPIRY_H_
