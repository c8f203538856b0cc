// Certificates for tests.
#ifndef CYTOPRESS_TESTS_SERVER_CERTIFICATES_H_
#define CYTOPRESS_TESTS_SERVER_CERTIFICATES_H_

#include <string>

namespace cytopress {

struct CertificateAndKey {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

// For "localhost", valid for an hour, its own authority.
CertificateAndKey SelfSigned();

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_CERTIFICATES_H_
