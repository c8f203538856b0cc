// Where SQL databases differ. Everything else of the job store is written in the SQL they share.
#ifndef CYTOPRESS_CORE_JOBS_SQL_DIALECT_H_
#define CYTOPRESS_CORE_JOBS_SQL_DIALECT_H_

#include <soci/soci.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cytopress {

class SqlDialect {
 public:
  virtual ~SqlDialect() = default;

  // Connects `session` and sets it up so that a committed transaction survives a power cut. Throws
  // what SOCI throws.
  virtual void Connect(soci::session& session) const = 0;
  // Starts a transaction that will write. Waits (bounded) for other writers; two of them never
  // interleave on the rows that LockClause() selects.
  virtual const char* BeginWrite() const = 0;
  // Starts a transaction whose queries all see the same state of the database.
  virtual const char* BeginRead() const = 0;
  // The type of a primary key that numbers the rows in the order of insertion.
  virtual const char* RowNumberType() const = 0;
  // Appended to a SELECT whose rows the transaction will update.
  virtual const char* LockClause() const = 0;
  // What an exception of this database means: UNAVAILABLE when trying again may help.
  virtual absl::Status ToStatus(const soci::soci_error& error) const = 0;
};

// From "sqlite:///absolute/path.db". INVALID_ARGUMENT for any other URL, NOT_FOUND when there is no
// such file and it is not to be created.
absl::StatusOr<std::unique_ptr<SqlDialect>> DialectOf(const std::string& url, bool create);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_SQL_DIALECT_H_
