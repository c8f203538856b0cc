// Where SQL databases differ. Everything else of the job store is written in the SQL they share.
#ifndef CYTOPRESS_CORE_JOBS_SQL_DIALECT_H_
#define CYTOPRESS_CORE_JOBS_SQL_DIALECT_H_

#include <soci/soci.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cytopress {

// What the methods that take a session throw is SOCI's. Thread-safe; a session is one thread's.
class SqlDialect {
 public:
  virtual ~SqlDialect() = default;

  // Connects `session` and sets it up so that a committed transaction survives a power cut.
  virtual void Connect(soci::session& session) const = 0;
  // Starts a transaction that will write. Waits (bounded) until no other one is under way, in
  // whatever process, so that what it reads is so until it ends.
  virtual void BeginWrite(soci::session& session) const = 0;
  // Starts a transaction whose queries all see the same state of the database.
  virtual void BeginRead(soci::session& session) const = 0;
  // The type of a primary key that numbers the rows in the order of insertion.
  virtual const char* RowNumberType() const = 0;
  // Whether the session may work again once it is connected anew.
  virtual bool HasLostConnection(const soci::soci_error& error) const = 0;
  // What an exception of this database means: UNAVAILABLE when trying again may help,
  // PERMISSION_DENIED when it must not be written. The message has neither the statement nor values
  // of it, which are somebody's job.
  virtual absl::Status ToStatus(const soci::soci_error& error) const = 0;
};

// From "sqlite:///absolute/path.db" or "postgresql://[user@]host[:port]/database[?parameters]", as
// libpq has it: what is not in the URL comes from its environment variables and ~/.pgpass.
// INVALID_ARGUMENT for any other URL and for one with a password, NOT_FOUND when there is no such
// file and it is not to be created.
absl::StatusOr<std::unique_ptr<SqlDialect>> DialectOf(const std::string& url, bool create);

// One for each database. REQUIRES: the path is absolute and has no quotation mark; the URL begins
// as above.
std::unique_ptr<SqlDialect> MakeSqliteDialect(const std::string& path);
std::unique_ptr<SqlDialect> MakePostgresDialect(const std::string& url);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_SQL_DIALECT_H_
