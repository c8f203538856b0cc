// A real PostgreSQL server for the tests of the job store, where CYTOPRESS_TEST_POSTGRES names the
// script that runs one.
#ifndef CYTOPRESS_TESTS_CORE_JOBS_POSTGRES_SERVER_H_
#define CYTOPRESS_TESTS_CORE_JOBS_POSTGRES_SERVER_H_

#ifdef CYTOPRESS_TEST_POSTGRES

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/temporary_folder.h"

namespace cytopress {

class PostgresServer {
 public:
  PostgresServer() { Start(); }
  ~PostgresServer() { Stop(); }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // Of all tests of a program, stopped when it ends.
  static PostgresServer& Shared() {
    static PostgresServer server;
    return server;
  }

  void Start() const { Run("start", ""); }
  // As a power cut: nothing is ended in good order.
  void Stop() const { Run("stop", ""); }
  // Its URL.
  std::string CreateDatabase() {
    const std::string name = absl::StrCat("jobs", ++databases_);
    Run("create", name);
    return absl::StrCat("postgresql:///", name, "?host=", folder_, "&user=tester");
  }

 private:
  void Run(const std::string& action, const std::string& argument) const {
    const std::string command =
        absl::StrCat(CYTOPRESS_TEST_POSTGRES, " ", action, " ", folder_, " ", argument);
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }

  // Not testing::TempDir(): PostgreSQL takes paths of sockets of at most 107 bytes, and whoever it
  // runs as must get there.
  const TemporaryFolder temporary_{"/tmp"};
  const std::string folder_ = temporary_.path();
  std::atomic<int> databases_{0};
};

inline std::string NewPostgresDatabase(const std::string& folder) {
  return PostgresServer::Shared().CreateDatabase();
}

}  // namespace cytopress

#endif  // CYTOPRESS_TEST_POSTGRES

#endif  // CYTOPRESS_TESTS_CORE_JOBS_POSTGRES_SERVER_H_
