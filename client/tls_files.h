// The files that a TLS connection needs, looked at before anything connects: of one that is wrong
// gRPC says only that it knows no address.
#ifndef CYTOPRESS_CLIENT_TLS_FILES_H_
#define CYTOPRESS_CLIENT_TLS_FILES_H_

#include <grpcpp/security/credentials.h>

#include "absl/status/statusor.h"
#include "client/client.h"

namespace cytopress {

// INVALID_ARGUMENT for a file without what it is named for, and for a key and a certificate that do
// not belong together; NOT_FOUND for one that is not there. All name the file.
absl::StatusOr<grpc::SslCredentialsOptions> ReadTlsFiles(const TlsFiles& files);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_TLS_FILES_H_
