// Certificates for tests.
#ifndef CYTOPRESS_TESTS_SERVER_CERTIFICATES_H_
#define CYTOPRESS_TESTS_SERVER_CERTIFICATES_H_

#include <string>

#include "absl/time/time.h"

namespace cytopress {

struct CertificateAndKey {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

// For "localhost", valid for so long from now on, its own authority.
CertificateAndKey SelfSigned(absl::Duration valid_for = absl::Hours(1));

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_CERTIFICATES_H_
