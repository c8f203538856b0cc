#include "core/jobs/sql_dialect.h"

#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_store.h"

namespace cytopress {
namespace {

// Of SCHEME://USER:PASSWORD@..., however badly the rest is written, or among the parameters.
bool HasPassword(absl::string_view url) {
  if (absl::StartsWith(url, "sqlite:")) return false;
  const absl::string_view before_parameters = url.substr(0, url.find('?'));
  const absl::string_view rest = before_parameters.substr(before_parameters.find(':') + 1);
  const size_t user_end = rest.rfind('@');
  return (user_end != rest.npos && absl::StrContains(rest.substr(0, user_end), ':')) ||
         absl::StrContains(url, "password=");
}

// What may hold a password after all, however it is written, is not repeated.
std::string Quoted(absl::string_view url) {
  const bool may_be_secret =
      !absl::StartsWith(url, "sqlite:") && url.find_first_of("@=") != absl::string_view::npos;
  return may_be_secret ? "" : absl::StrCat(" \"", url, "\"");
}

}  // namespace

std::optional<std::string> DatabaseFile(absl::string_view url) {
  if (!absl::StartsWith(url, "sqlite:///")) return std::nullopt;
  return std::string(absl::StripPrefix(url, "sqlite://"));
}

absl::StatusOr<std::unique_ptr<SqlDialect>> DialectOf(const std::string& url, bool create) {
  if (HasPassword(url)) {
    return absl::InvalidArgumentError(
        "database URL: it holds a password, which lists of processes show to all users of a "
        "machine; leave it out and name a file with it by PGPASSFILE, or set PGPASSWORD");
  }
  if (absl::StartsWith(url, "postgresql://") || absl::StartsWith(url, "postgres://")) {
    return MakePostgresDialect(url);
  }
  const std::optional<std::string> path = DatabaseFile(url);
  if (!path.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("database URL", Quoted(url),
                     ": expected sqlite:///absolute/path.db or postgresql://HOST/DATABASE"));
  }
  if (absl::StrContains(*path, '"')) {
    return absl::InvalidArgumentError(
        absl::StrCat("database URL \"", url, "\": the path must not contain a quotation mark"));
  }
  std::error_code error;
  const bool exists = std::filesystem::exists(*path, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot look for ", *path));
  if (!create && !exists) {
    return absl::NotFoundError(
        absl::StrCat("there is no job database ", *path, "; cytopressd makes it when it starts"));
  }
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(*path).parent_path().string()));
  return MakeSqliteDialect(*path);
}

}  // namespace cytopress
