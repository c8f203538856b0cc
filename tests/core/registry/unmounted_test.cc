// A models folder that is not mounted any more, or was moved: what is left is an empty mount point,
// or nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/core/registry/registry_fixture.h"

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class UnmountedRegistryTest : public RegistryTest {
 protected:
  void Unmount() {
    std::filesystem::rename(root_, elsewhere_);
    std::filesystem::create_directory(root_);
  }
  void Mount() {
    std::filesystem::remove_all(root_);
    std::filesystem::rename(elsewhere_, root_);
  }
  // What the calls answer, by their names. They must change nothing.
  std::vector<std::pair<std::string, absl::Status>> AllCalls() {
    return {{"Resolve", registry_.Resolve({"blood", 0}).status()},
            {"Resolve a version", registry_.Resolve({"blood", 1}).status()},
            {"Get", registry_.Get({"blood", 1}).status()},
            {"ModelNames", registry_.ModelNames().status()},
            {"List", registry_.List().status()},
            {"List by name", registry_.List("blood").status()},
            {"Read", registry_.Read({"blood", 1}).status()},
            {"PathOf", registry_.PathOf({"blood", 1}).status()},
            {"Publish", registry_.Publish("blood", SampleFile(), "").status()},
            {"Hold", registry_.Hold("blood").status()},
            {"Delete", registry_.Delete({"blood", 1})},
            {"Identity", registry_.Identity().status()},
            {"MakeIdentity", registry_.MakeIdentity().status()}};
  }
  void ExpectUnavailable() {
    for (const auto& [call, status] : AllCalls()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << call << ": " << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("the models folder " + root_ + " cannot be read: " + root_ +
                            "/.registry is missing; mount it again"))
          << call;
    }
  }

  const std::string elsewhere_ = temporary_.PathOf("elsewhere");
};

TEST_F(UnmountedRegistryTest, AnEmptyMountPointIsNoEmptyRegistry) {
  const std::string identity = registry_.MakeIdentity().value();
  Publish("blood");
  ASSERT_TRUE(registry_.Get({"blood", 1}).ok());
  Unmount();
  ExpectUnavailable();
  EXPECT_TRUE(std::filesystem::is_empty(root_)) << "nothing was written into the mount point";
  Mount();
  EXPECT_EQ(registry_.Identity().value(), identity);
  EXPECT_THAT(Versions("blood"), ElementsAre(1));
  EXPECT_EQ(Publish("blood"), 2);
}

TEST_F(UnmountedRegistryTest, NorIsAFolderThatWasMoved) {
  ASSERT_TRUE(registry_.MakeIdentity().ok());
  Publish("blood");
  std::filesystem::rename(root_, elsewhere_);
  ExpectUnavailable();
  EXPECT_FALSE(std::filesystem::exists(root_));
  Mount();
  EXPECT_EQ(registry_.Resolve({"blood", 0})->version, 1);
}

// As what somebody has published into the mount point before.
TEST_F(UnmountedRegistryTest, WhatTheMountPointHoldsIsNotAllThatThereIs) {
  ASSERT_TRUE(registry_.MakeIdentity().ok());
  Publish("blood");
  Publish("blood");
  Unmount();
  ASSERT_TRUE(ModelRegistry::Open(root_).value().Publish("blood", SampleFile(), "").ok());
  for (const absl::Status& status :
       {registry_.Resolve({"blood", 2}).status(), registry_.Resolve({"cells", 0}).status(),
        registry_.List("blood").status(), registry_.ModelNames().status(),
        registry_.Publish("blood", SampleFile(), "").status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
}

TEST_F(UnmountedRegistryTest, CopiesAndThoseThatFindTheFileKnowToo) {
  const ModelRegistry early = ModelRegistry::Open(root_).value();
  const ModelRegistry copy = registry_;
  ASSERT_TRUE(registry_.MakeIdentity().ok());
  const ModelRegistry late = ModelRegistry::Open(root_).value();
  EXPECT_EQ(early.Resolve({"blood", 0}).status().code(), absl::StatusCode::kNotFound);
  Unmount();
  for (const ModelRegistry* registry : {&copy, &early, &late}) {
    EXPECT_EQ(registry->Resolve({"blood", 0}).status().code(), absl::StatusCode::kUnavailable);
  }
}

TEST_F(UnmountedRegistryTest, AFolderThatNeverHadTheFileMayBeEmpty) {
  Publish("blood");
  Unmount();
  EXPECT_EQ(registry_.Resolve({"blood", 0}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(registry_.List()->empty());
  EXPECT_EQ(registry_.Identity().value(), "");
  EXPECT_EQ(Publish("blood"), 1);
  EXPECT_NE(registry_.MakeIdentity().value(), "");
}

}  // namespace
}  // namespace cytopress
