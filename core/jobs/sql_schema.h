// The tables of the job store and how an older database becomes a current one.
#ifndef CYTOPRESS_CORE_JOBS_SQL_SCHEMA_H_
#define CYTOPRESS_CORE_JOBS_SQL_SCHEMA_H_

#include <soci/soci.h>

#include "absl/status/status.h"
#include "core/jobs/sql_dialect.h"

namespace cytopress {

// Brings the database to the schema of this program, within the caller's write transaction, and
// writes to it in any case.
// FAILED_PRECONDITION when a newer program has already changed it. Throws what SOCI throws.
absl::Status MigrateSchema(soci::session& sql, const SqlDialect& dialect);

// Changes nothing. NOT_FOUND when the tables are not there, FAILED_PRECONDITION when they are not
// those of this program. Throws what SOCI throws where the database cannot be asked.
absl::Status CheckSchema(soci::session& sql, const SqlDialect& dialect);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_SQL_SCHEMA_H_
