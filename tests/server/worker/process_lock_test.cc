#include "server/worker/process_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/as_nobody.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

class ProcessLockTest : public testing::Test {
 protected:
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.PathOf("locks");  // not there yet
};

TEST_F(ProcessLockTest, OneHolderAtATime) {
  {
    const absl::StatusOr<ProcessLock> first = ProcessLock::Take(folder_, "w1");
    ASSERT_TRUE(first.ok()) << first.status();
    const absl::Status second = ProcessLock::Take(folder_, "w1").status();
    EXPECT_EQ(second.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_THAT(second.message(), testing::HasSubstr("w1"));
    EXPECT_TRUE(ProcessLock::Take(folder_, "w2").ok());
  }
  EXPECT_TRUE(ProcessLock::Take(folder_, "w1").ok());
}

TEST_F(ProcessLockTest, WhatIsInTheWayIsNotTakenForAHolder) {
  namespace fs = std::filesystem;
  fs::create_directories(folder_ + "/w1.lock");
  const absl::Status folder = ProcessLock::Take(folder_, "w1").status();
  EXPECT_FALSE(folder.ok() || absl::IsAlreadyExists(folder)) << folder;
  EXPECT_THAT(folder.message(), testing::HasSubstr("cannot open " + folder_ + "/w1.lock: "));
  fs::remove(folder_ + "/w1.lock");
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_exec);
  absl::Status denied;
  AsNobody(temporary_.path(), [&] { denied = ProcessLock::Take(folder_, "w2").status(); });
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(ProcessLockTest, KilledHolderLetsGo) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const absl::StatusOr<ProcessLock> lock = ProcessLock::Take(folder_, "w1");
    if (lock.ok() && write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(ProcessLock::Take(folder_, "w1").ok());
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(ProcessLock::Take(folder_, "w1").ok());
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace cytopress
