// What the service says of a request's fields, in the words of the flags that made the request.
#ifndef CYTOPRESS_CLIENT_CLI_FLAG_NAMES_H_
#define CYTOPRESS_CLIENT_CLI_FLAG_NAMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/compress_request.h"
#include "client/client.h"

namespace cytopress {

// Sends the request that `flags` made. A refusal names the flags, and the values as they take them;
// fields without a flag, and those of a recipe file, keep the name that they have there. The code
// and the payloads (client/status.h) are the service's.
absl::StatusOr<v1::Job> Submit(Client* client, const v1::CompressRequest& request,
                               const CompressFlags& flags);

// What the service says of a job, in the same words. A recipe file's fields become flags, too:
// those go over it.
std::string InWordsOfFlags(absl::string_view message);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_FLAG_NAMES_H_
