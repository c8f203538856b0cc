#include "client/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio Open(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
}

// An empty passphrase, as gRPC gives it: without one OpenSSL would ask the terminal.
void* NoPassphrase() { return const_cast<char*>(""); }

// The first one; null if there is none.
Certificate FirstCertificate(const std::string& pem) {
  Certificate found(PEM_read_bio_X509_AUX(Open(pem).get(), nullptr, nullptr, NoPassphrase()),
                    &X509_free);
  ERR_clear_error();  // gRPC would take it for its own
  return found;
}

Key PrivateKey(const std::string& pem) {
  Key found(PEM_read_bio_PrivateKey(Open(pem).get(), nullptr, nullptr, NoPassphrase()),
            &EVP_PKEY_free);
  ERR_clear_error();
  return found;
}

absl::Status HoldsNo(const char* what, const std::string& path, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("TLS ", what, ": ", path, " holds no ", wanted, "; give the file that does"));
}

absl::Status CheckAuthority(const std::string& pem, const std::string& path) {
  if (path.empty() || FirstCertificate(pem) != nullptr) return absl::OkStatus();
  return HoldsNo("CA", path, "certificate");
}

absl::Status CheckPair(const grpc::SslCredentialsOptions& options, const TlsFiles& files) {
  if (files.certificate.empty()) return absl::OkStatus();
  const Certificate certificate = FirstCertificate(options.pem_cert_chain);
  if (certificate == nullptr) return HoldsNo("certificate", files.certificate, "certificate");
  const Key key = PrivateKey(options.pem_private_key);
  if (key == nullptr) return HoldsNo("key", files.key, "private key without a passphrase");
  const bool belongs = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (belongs) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("TLS key: ", files.key, " is not the key of the certificate ", files.certificate,
                   "; give the two that were made together"));
}

}  // namespace

absl::StatusOr<grpc::SslCredentialsOptions> ReadTlsFiles(const TlsFiles& files) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        "TLS certificate and key belong together: give both or neither");
  }
  grpc::SslCredentialsOptions options;
  if (!files.ca.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem("TLS CA", files.ca));
  }
  if (!files.certificate.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(options.pem_cert_chain,
                               ReadPem("TLS certificate", files.certificate));
    CYTOPRESS_ASSIGN_OR_RETURN(options.pem_private_key, ReadPem("TLS key", files.key));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckAuthority(options.pem_root_certs, files.ca));
  CYTOPRESS_RETURN_IF_ERROR(CheckPair(options, files));
  return options;
}

}  // namespace cytopress
