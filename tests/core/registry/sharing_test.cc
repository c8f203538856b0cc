// Several threads and processes at one registry.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tests/as_nobody.h"
#include "tests/core/registry/registry_fixture.h"

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class RegistrySharingTest : public RegistryTest {
 protected:
  RegistrySharingTest() { SampleFile(); }  // made once, before there are children

  // Runs `work` in `count` processes at once; all must end with true.
  void InProcesses(int count, const std::function<bool(int)>& work) {
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) _exit(work(i) ? 0 : 1);
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = -1;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
  }

  // Whether another could take the model's lock now; `how` is flock's.
  bool MayLock(const std::string& name, int how) const {
    const int file = open(PathIn(name, ".lock").c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(file, 0);
    const bool may = flock(file, how | LOCK_NB) == 0;
    close(file);
    return may;
  }
};

TEST_F(RegistrySharingTest, ThreadsGetNumbersOfTheirOwn) {
  absl::Mutex mutex;
  std::vector<int64_t> versions;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const int64_t version = Publish("blood");
      absl::MutexLock lock(&mutex);
      versions.push_back(version);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(versions, UnorderedElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Versions("blood"), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(RegistrySharingTest, ProcessesGetNumbersOfTheirOwn) {
  InProcesses(4, [&](int) { return Publish("blood") > 0 && Publish("blood") > 0; });
  EXPECT_THAT(Versions("blood"), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_F(RegistrySharingTest, OneKeyInManyProcessesIsOneVersion) {
  InProcesses(4, [&](int) { return Publish("blood", "job") == 1; });
  EXPECT_THAT(Versions("blood"), ElementsAre(1));
}

TEST_F(RegistrySharingTest, ThoseWhoAskAtOnceForAnIdentityGetTheSame) {
  EXPECT_EQ(*registry_.Identity(), "");
  std::vector<std::string> identities(8);
  std::vector<std::thread> threads;
  for (std::string& identity : identities) {
    threads.emplace_back([&] {
      ModelRegistry own = *ModelRegistry::Open(registry_.root());
      identity = *own.MakeIdentity();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(identities, testing::Each(*registry_.Identity()));
  EXPECT_NE(identities[0], "");
  // It is no model, and nothing else is left.
  EXPECT_TRUE(registry_.ModelNames()->empty());
  const std::filesystem::directory_iterator files(registry_.root());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST_F(RegistrySharingTest, ReadersSeeWholeVersionsWhileOthersPublishAndDelete) {
  Publish("blood");
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 5; ++i) {
      const int64_t version = Publish("blood");
      EXPECT_TRUE(registry_.Delete({"blood", version}).ok());
    }
    done = true;
  });
  do {
    const absl::StatusOr<std::vector<v1::Model>> models = registry_.List();
    EXPECT_TRUE(models.ok()) << models.status();
    if (!models.ok()) break;
    EXPECT_GE(models->size(), 1u);
    for (const v1::Model& model : *models) EXPECT_EQ(model.class_names_size(), 4);
  } while (!done);
  writer.join();
  EXPECT_THAT(Versions("blood"), ElementsAre(1));
}

TEST_F(RegistrySharingTest, ManyMayHoldAModelAndNobodyChangesItThen) {
  Publish("blood");
  {
    const absl::StatusOr<ModelFolderLock> one = registry_.Hold("blood");
    const absl::StatusOr<ModelFolderLock> another =
        ModelRegistry::Open(root_).value().Hold("blood");
    EXPECT_TRUE(one.ok() && another.ok());
    EXPECT_TRUE(MayLock("blood", LOCK_SH));
    EXPECT_FALSE(MayLock("blood", LOCK_EX));
  }
  EXPECT_TRUE(MayLock("blood", LOCK_EX));
}

TEST_F(RegistrySharingTest, WhatADeletionChecksStaysSoUntilItIsDone) {
  Publish("blood");
  const absl::Status refusal = absl::FailedPreconditionError("it is needed");
  const absl::Status status = registry_.Delete({"blood", 1}, [&] {
    EXPECT_FALSE(MayLock("blood", LOCK_SH));
    return refusal;
  });
  EXPECT_EQ(status, refusal);
  EXPECT_THAT(Versions("blood"), ElementsAre(1));
  EXPECT_TRUE(registry_.Delete({"blood", 1}, [] { return absl::OkStatus(); }).ok());
  EXPECT_THAT(Versions("blood"), ElementsAre());
}

TEST_F(RegistrySharingTest, HoldingMakesNoModel) {
  EXPECT_TRUE(registry_.Hold("blood").ok());
  EXPECT_FALSE(std::filesystem::exists(root_ + "/blood"));
  EXPECT_EQ(registry_.Hold("../blood").status().code(), absl::StatusCode::kInvalidArgument);
}

// As one that was copied there without its lock.
TEST_F(RegistrySharingTest, AModelThatMayOnlyBeReadIsHeld) {
  using std::filesystem::perms;
  Publish("blood");
  std::filesystem::permissions(root_, static_cast<perms>(0755));
  const std::string lock = PathIn("blood", ".lock");
  std::filesystem::remove(lock);
  const std::string folder = root_ + "/blood";
  std::filesystem::permissions(folder, static_cast<perms>(0555));
  AsNobody(temporary_.path(),
           [&] { EXPECT_EQ(registry_.Hold("blood").status(), absl::OkStatus()); });
  std::filesystem::permissions(folder, perms::owner_all);
  EXPECT_FALSE(std::filesystem::exists(lock));
}

// As where a network file system tells the folder's time from memory.
TEST_F(RegistrySharingTest, AModelThatIsHeldIsReadAnew) {
  const std::filesystem::path folder = PathIn("blood", "");
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  const auto newest = [&] { return registry_.Resolve({"blood", 0}).value().version; };
  ModelRegistry other = ModelRegistry::Open(root_).value();
  Publish("blood");
  Publish("blood");
  std::filesystem::last_write_time(folder, long_ago);
  EXPECT_EQ(newest(), 2);
  ASSERT_TRUE(other.Delete({"blood", 2}).ok());
  std::filesystem::last_write_time(folder, long_ago);
  EXPECT_EQ(newest(), 2) << "it was read again";
  const absl::StatusOr<ModelFolderLock> held = registry_.Hold("blood");
  EXPECT_TRUE(held.ok());
  EXPECT_EQ(newest(), 1);
}

// A folder that has not changed for long is not read again; whatever another process does to it is
// seen by its modification time.
TEST_F(RegistrySharingTest, ChangesToAFolderAtRestAreSeen) {
  const std::filesystem::path folder = PathIn("blood", "");
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  const auto newest = [&] { return registry_.Resolve({"blood", 0}).value().version; };
  ModelRegistry other = ModelRegistry::Open(root_).value();
  Publish("blood");
  std::filesystem::last_write_time(folder, long_ago);
  EXPECT_EQ(newest(), 1);
  ASSERT_TRUE(other.Publish("blood", SampleFile(), "").ok());
  EXPECT_EQ(newest(), 2);
  std::filesystem::last_write_time(folder, long_ago + std::chrono::minutes(1));
  EXPECT_EQ(newest(), 2);
  ASSERT_TRUE(other.Delete({"blood", 2}).ok());
  EXPECT_EQ(newest(), 1);

  // Only to show that the folder is not read: as no change leaves it.
  std::filesystem::last_write_time(folder, long_ago);
  EXPECT_EQ(newest(), 1);
  ASSERT_TRUE(other.Publish("blood", SampleFile(), "").ok());
  std::filesystem::last_write_time(folder, long_ago);
  EXPECT_EQ(newest(), 1);
  ASSERT_TRUE(other.Delete({"blood", 3}).ok());
  ASSERT_TRUE(other.Delete({"blood", 1}).ok());
  std::filesystem::last_write_time(folder, long_ago);
  EXPECT_THAT(*registry_.ModelNames(), ElementsAre("blood"));
}

}  // namespace
}  // namespace cytopress
