// A PostgreSQL server, which workers on other machines reach.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/jobs/sql_dialect.h"

namespace cytopress {
namespace {

// Writers take turns by this lock, as those of a SQLite file do: a write is one small transaction.
constexpr char kTakeTurn[] = "SELECT pg_advisory_xact_lock(7165075)";

// For people and logs: without the user's name and password.
std::string WithoutUser(absl::string_view url) {
  const size_t begin = url.find("//") + 2;
  const size_t end = url.find('@', begin);
  const absl::string_view rest = url.substr(end == url.npos ? begin : end + 1);
  return absl::StrCat("postgresql://", rest.substr(0, rest.find('?')));
}

class PostgresDialect : public SqlDialect {
 public:
  explicit PostgresDialect(const std::string& url)
      : name_(WithoutUser(url)),
        connection_(absl::StrContains(url, "connect_timeout=")
                        ? url
                        : absl::StrCat(url, absl::StrContains(url, '?') ? "&" : "?",
                                       "connect_timeout=10")) {}

  void Connect(soci::session& session) const override {
    session.open("postgresql", connection_);  // SOCI loads what speaks to it
    session << "SET client_encoding = 'UTF8'";
    session << "SET client_min_messages = warning";  // libpq prints notices
    session << "SET lock_timeout = '10s'";
    session << "SET synchronous_commit = on";
  }

  void BeginWrite(soci::session& session) const override {
    session << "BEGIN";
    session << kTakeTurn;
  }
  void BeginRead(soci::session& session) const override {
    session << "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  }
  const char* RowNumberType() const override { return "BIGSERIAL PRIMARY KEY"; }

  bool HasLostConnection(const soci::soci_error& error) const override {
    return ToStatus(error).code() == absl::StatusCode::kUnavailable;
  }

  absl::Status ToStatus(const soci::soci_error& error) const override {
    const std::string message = absl::StrCat("job database ", name_, ": ", error.what());
    switch (error.get_error_category()) {
      case soci::soci_error::connection_error:
      case soci::soci_error::system_error:
      case soci::soci_error::unknown:  // a connection that is gone has no SQLSTATE
        return absl::UnavailableError(message);
      case soci::soci_error::no_privilege:
        return absl::PermissionDeniedError(message);
      default:
        return absl::InternalError(message);
    }
  }

 private:
  const std::string name_;
  const std::string connection_;
};

}  // namespace

std::unique_ptr<SqlDialect> MakePostgresDialect(const std::string& url) {
  return std::make_unique<PostgresDialect>(url);
}

}  // namespace cytopress
