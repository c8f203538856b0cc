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

// Writes a temporary file beside `path`, syncs it, and renames it over `path`. A file that is
// replaced passes its permissions on; a new one has those of the umask. Symbolic links stay: the
// file at their end is replaced, or made. What is no regular file, such as a pipe, is written into,
// and so is a file by the name of an open descriptor, such as /dev/stdout, from where that stands.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);

// The file that a new one takes the place of when `path` is written: the one at the end of its
// symbolic links. Empty where there is none to rename over: `path` is a device, a pipe, a folder or
// an open descriptor of this program.
std::string PathToReplace(const std::string& path);

// Gives the open file `fd` the permissions of the file `target` that it will take the place of, if
// there is one: whoever may read the old one may read the new one, and nobody else. False with
// errno if that fails.
bool KeepMode(int fd, const std::string& target);

// A descriptor to write into `path`, which PathToReplace has no file for; the caller closes it. An
// open file goes on where it stands, and is not emptied. -1 with errno if that fails.
int OpenToWriteInto(const std::string& path);

// Whether WriteFileAtomically could write `path`, found out before the work that makes the content.
// INVALID_ARGUMENT names the path. Leaves no file behind.
absl::Status CheckWritable(const std::string& path);

// Of errno: "`action` `path`: why".
absl::Status ErrnoStatus(absl::string_view action, const std::string& path);

// mkdir -p.
absl::Status MakeDirectories(const std::string& path);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_FILE_H_
