// Whole files, read within a bound and written so that a reader sees the old or the new file, never
// half of one. Errors name the path.
#ifndef CYTOPRESS_CORE_BASE_FILE_H_
#define CYTOPRESS_CORE_BASE_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// NOT_FOUND, or RESOURCE_EXHAUSTED when the file is larger than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);

// A file of certificates or keys. Errors begin with `what` it is for; INVALID_ARGUMENT where it has
// no line "-----BEGIN ...", RESOURCE_EXHAUSTED above 1 MiB.
absl::StatusOr<std::string> ReadPem(absl::string_view what, const std::string& path);

// A PendingFile (pending_file.h) of this content: what is no regular file is written into, links
// stay, and permissions are those of the file that is replaced.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);

// Of errno: "`action` `path`: why".
absl::Status ErrnoStatus(absl::string_view action, const std::string& path);

// mkdir -p.
absl::Status MakeDirectories(const std::string& path);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_FILE_H_
