// A PostgreSQL server, which workers on other machines reach.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "core/jobs/sql_dialect.h"

namespace cytopress {
namespace {

// Writers take turns by this lock, as those of a SQLite file do: a write is one small transaction.
constexpr char kTakeTurn[] = "SELECT pg_advisory_xact_lock(7165075)";

// Ends the wait for a peer that is gone without a word, on this side and on the server's: whoever
// vanishes within a transaction must not hold the others up.
constexpr char kPatience[] =
    "connect_timeout=3&keepalives_idle=30&keepalives_interval=10&keepalives_count=3"
    "&tcp_user_timeout=20000";
constexpr const char* kSettings[] = {
    "SET client_encoding = 'UTF8'",
    "SET client_min_messages = warning",  // libpq prints notices
    "SET synchronous_commit = on",       "SET lock_timeout = '10s'",
    "SET statement_timeout = '30s'",     "SET idle_in_transaction_session_timeout = '15s'",
    "SET tcp_keepalives_idle = 30",      "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
};

// For people and logs: without the user's name and what else may be secret.
std::string WithoutUser(absl::string_view url) {
  absl::string_view rest = url.substr(url.find("//") + 2);
  rest = rest.substr(0, rest.find('?'));
  return absl::StrCat("postgresql://", rest.substr(rest.rfind('@') + 1));
}

// Without the lines that repeat the statement and its values.
std::string WhatIsWrong(const soci::soci_error& error) {
  std::string message = error.get_error_message();
  for (const char* line : {"\nLINE ", "\nDETAIL:", "\nCONTEXT:"}) {
    message = message.substr(0, message.find(line));
  }
  return message;
}

// The URL's own parameters come last, where they count.
std::string WithPatience(absl::string_view url) {
  const size_t end = url.find('?');
  return absl::StrCat(url.substr(0, end), "?", kPatience,
                      end == url.npos ? "" : absl::StrCat("&", url.substr(end + 1)));
}

class PostgresDialect : public SqlDialect {
 public:
  explicit PostgresDialect(const std::string& url)
      : name_(WithoutUser(url)), connection_(WithPatience(url)) {}

  void Connect(soci::session& session) const override {
    session.open("postgresql", connection_);  // SOCI loads what speaks to it
    for (const char* setting : kSettings) session << setting;
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
    const auto category = error.get_error_category();
    // One that is gone has no SQLSTATE.
    return category == soci::soci_error::connection_error || category == soci::soci_error::unknown;
  }

  absl::Status ToStatus(const soci::soci_error& error) const override {
    // libpq quotes a URL that it cannot read.
    std::string what =
        absl::StrReplaceAll(WhatIsWrong(error), {{connection_, name_}, {"\n", " "}, {"\t", " "}});
    absl::RemoveExtraAsciiWhitespace(&what);
    const std::string message = absl::StrCat("job database ", name_, ": ", what);
    switch (error.get_error_category()) {
      case soci::soci_error::connection_error:
      case soci::soci_error::system_error:
      case soci::soci_error::unknown:
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
