// A real PostgreSQL server for the tests of the job store, where CYTOPRESS_TEST_POSTGRES names the
// script that runs one.
#ifndef CYTOPRESS_TESTS_CORE_JOBS_POSTGRES_SERVER_H_
#define CYTOPRESS_TESTS_CORE_JOBS_POSTGRES_SERVER_H_

#ifdef CYTOPRESS_TEST_POSTGRES

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"

namespace cytopress {

class PostgresServer {
 public:
  PostgresServer() : folder_(absl::StrCat("/tmp/cytopress_postgres_", getpid())) { Start(); }
  ~PostgresServer() {
    Stop();
    std::filesystem::remove_all(folder_);
  }
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

  const std::string folder_;
  std::atomic<int> databases_{0};
};

inline std::string NewPostgresDatabase(const std::string& folder) {
  return PostgresServer::Shared().CreateDatabase();
}

}  // namespace cytopress

#endif  // CYTOPRESS_TEST_POSTGRES

#endif  // CYTOPRESS_TESTS_CORE_JOBS_POSTGRES_SERVER_H_
