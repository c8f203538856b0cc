// What a process that dies at any moment leaves behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/artifact/artifact.h"
#include "tests/core/registry/registry_fixture.h"

namespace cytopress {
namespace {

using testing::ElementsAre;

using RegistryRecoveryTest = RegistryTest;

TEST_F(RegistryRecoveryTest, AKeyWithoutItsFileKeepsItsNumber) {
  Publish("blood");
  WriteFile(PathIn("blood", "2.key"), "job-2");
  EXPECT_EQ(registry_.Get({"blood", 0})->version(), 1);
  EXPECT_EQ(Publish("blood", "job-3"), 3);
  EXPECT_EQ(Publish("blood", "job-2"), 2);
  EXPECT_THAT(Versions("blood"), ElementsAre(1, 2, 3));
}

TEST_F(RegistryRecoveryTest, ABegunDeletionIsADeletion) {
  Publish("blood");
  Publish("blood");
  WriteFile(PathIn("blood", "2.deleted"), "");
  EXPECT_THAT(Versions("blood"), ElementsAre(1));
  EXPECT_EQ(registry_.Read({"blood", 2}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Publish("blood"), 3);
  EXPECT_FALSE(std::filesystem::exists(PathIn("blood", "2.cyp")));
}

TEST_F(RegistryRecoveryTest, HalfWrittenFilesAreRemoved) {
  Publish("blood");
  for (const char* name : {".incoming", ".incoming.tmp.abc123", "2.key.tmp.abc123"}) {
    WriteFile(PathIn("blood", name), "half");
  }
  EXPECT_THAT(Versions("blood"), ElementsAre(1));
  EXPECT_EQ(Publish("blood"), 2);
  for (const char* name : {".incoming", ".incoming.tmp.abc123", "2.key.tmp.abc123"}) {
    EXPECT_FALSE(std::filesystem::exists(PathIn("blood", name))) << name;
  }
}

// Publishes under job-<i>, one after the other, and says so after each, until it is killed.
[[noreturn]] void PublishForever(ModelRegistry registry, int first_job, int report) {
  for (int job = first_job;; ++job) {
    if (!registry.Publish("blood", SampleFile(), absl::StrCat("job-", job)).ok()) _exit(1);
    if (write(report, "x", 1) != 1) _exit(1);
  }
}

// Starts a publisher, waits until it has published `publications` versions, and kills it.
void KillAfter(const ModelRegistry& registry, int first_job, int publications) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) PublishForever(registry, first_job, pipe_ends[1]);
  close(pipe_ends[1]);
  for (int i = 0; i < publications; ++i) {
    char byte;
    ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1);
  }
  kill(child, SIGKILL);
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  close(pipe_ends[0]);
}

TEST_F(RegistryRecoveryTest, AKilledPublisherLeavesWholeVersionsAndNoLock) {
  SampleFile();  // made once, before there are children
  constexpr int kPublications = 2;
  for (int round = 0; round < 4; ++round) {
    KillAfter(registry_, 100 * round, kPublications);
    const std::set<int64_t> versions = Versions("blood");
    for (const int64_t version : versions) {
      EXPECT_TRUE(*registry_.Read({"blood", version}) == SampleFile()) << version;
    }
    // What was reported is there, and its key answers with a version that existed before.
    for (int job = 0; job < kPublications; ++job) {
      const int64_t version = Publish("blood", absl::StrCat("job-", 100 * round + job));
      EXPECT_EQ(versions.count(version), 1u) << version;
    }
  }
}

}  // namespace
}  // namespace cytopress
