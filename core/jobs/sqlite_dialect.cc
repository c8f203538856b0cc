// One file, which needs nothing installed.
#include <soci/sqlite3/soci-sqlite3.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/jobs/sql_dialect.h"

namespace cytopress {
namespace {

// How long a connection waits for another process's write. A write is one small transaction.
constexpr char kBusyTimeout[] = "PRAGMA busy_timeout = 10000";
constexpr int kWalAttempts = 100;
constexpr absl::Duration kWalRetry = absl::Milliseconds(20);

// Without the statement, its values, and the function of SOCI that met the error.
std::string WhatIsWrong(const soci::soci_error& error) {
  const std::string message = error.get_error_message();
  const size_t colon = message.find(": ");
  const bool names_function = absl::StartsWith(message, "sqlite3_") && colon != message.npos;
  return names_function ? message.substr(colon + 2) : message;
}

class SqliteDialect : public SqlDialect {
 public:
  explicit SqliteDialect(std::string path) : path_(std::move(path)) {}

  void Connect(soci::session& session) const override {
    session.open(soci::sqlite3, absl::StrCat("dbname=\"", path_, "\""));
    session << kBusyTimeout;
    UseWriteAheadLog(session);
    session << "PRAGMA synchronous = FULL";
    session << "PRAGMA foreign_keys = ON";
  }

  // IMMEDIATE takes the write lock at once: a transaction that began by reading could not wait for
  // it without risking a deadlock.
  void BeginWrite(soci::session& session) const override { session << "BEGIN IMMEDIATE"; }
  void BeginRead(soci::session& session) const override { session << "BEGIN"; }
  const char* RowNumberType() const override { return "INTEGER PRIMARY KEY AUTOINCREMENT"; }
  bool HasLostConnection(const soci::soci_error& error) const override { return false; }

  absl::Status ToStatus(const soci::soci_error& error) const override {
    const std::string message = absl::StrCat("job database ", path_, ": ", WhatIsWrong(error));
    const auto* sqlite_error = dynamic_cast<const soci::sqlite3_soci_error*>(&error);
    const int code = sqlite_error == nullptr ? SQLITE_ERROR : sqlite_error->result() & 0xff;
    switch (code) {
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
      case SQLITE_CANTOPEN:
      case SQLITE_IOERR:
      case SQLITE_PROTOCOL:
        return absl::UnavailableError(message);
      case SQLITE_FULL:
        return absl::ResourceExhaustedError(absl::StrCat(message, "; make room there"));
      case SQLITE_NOMEM:
        return absl::ResourceExhaustedError(message);
      case SQLITE_READONLY:
      case SQLITE_PERM:
        return absl::PermissionDeniedError(absl::StrCat(
            message, "; give the file and its folder to the user of cytopressd (chown)"));
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return absl::DataLossError(message);
      default:
        return absl::InternalError(message);
    }
  }

 private:
  // Changing to the write-ahead log needs the file alone and does not wait for it, so several
  // processes that create the database at once have to take turns here.
  static void UseWriteAheadLog(soci::session& session) {
    for (int attempt = 1;; ++attempt) {
      try {
        session << "PRAGMA journal_mode = WAL";
        return;
      } catch (const soci::sqlite3_soci_error& error) {
        if ((error.result() & 0xff) != SQLITE_BUSY || attempt == kWalAttempts) throw;
        absl::SleepFor(kWalRetry);
      }
    }
  }

  const std::string path_;
};

}  // namespace

std::unique_ptr<SqlDialect> MakeSqliteDialect(const std::string& path) {
  return std::make_unique<SqliteDialect>(path);
}

}  // namespace cytopress
