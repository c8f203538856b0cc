#include "server/certificate_expiry.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// An empty passphrase, as gRPC gives it: without one OpenSSL would ask the terminal.
void* NoPassphrase() { return const_cast<char*>(""); }

// The next one in `pem`; null when there is none.
Certificate NextCertificate(BIO* pem) {
  return Certificate(PEM_read_bio_X509_AUX(pem, nullptr, nullptr, NoPassphrase()), &X509_free);
}

}  // namespace

absl::StatusOr<absl::Time> CertificateExpiry(const std::string& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string text, ReadPem("--tls-cert", path));
  const Bio pem(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free);
  absl::Time first = absl::InfiniteFuture();
  for (Certificate certificate = NextCertificate(pem.get()); certificate != nullptr;
       certificate = NextCertificate(pem.get())) {
    std::tm end = {};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) == 1) {
      first = std::min(first, absl::FromTM(end, absl::UTCTimeZone()));
    }
  }
  ERR_clear_error();  // gRPC would take it for its own
  if (first < absl::InfiniteFuture()) return first;
  return absl::InvalidArgumentError(
      absl::StrCat("--tls-cert: ", path, " holds no certificate; give the file that does"));
}

}  // namespace cytopress
