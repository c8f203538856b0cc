#include "server/zoo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "tests/server/test_server.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

class ZooTest : public testing::Test {
 protected:
  ZooTest() { std::filesystem::create_directories(zoo()); }

  std::string zoo() const { return folder_ + "/zoo"; }
  std::string marker() const { return folder_ + "/zoo.unfinished"; }
  void Put(const std::string& name, const std::string& bytes) const {
    ASSERT_TRUE(WriteFileAtomically(absl::StrCat(zoo(), "/", name), bytes).ok());
  }
  ModelRegistry OpenRegistry() const {
    return *std::move(ModelRegistry::Open(folder_ + "/models"));
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

TEST_F(ZooTest, FillsAnEmptyRegistryOnce) {
  Put("blood.cyp", TestArtifact());
  Put("README.md", "not a model");
  ModelRegistry registry = OpenRegistry();
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 1);
  EXPECT_TRUE(registry.Get({"blood", 1}).ok());
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 0);
  EXPECT_EQ(registry.List()->size(), 1);
}

TEST_F(ZooTest, LeavesARegistryInUseAlone) {
  Put("blood.cyp", TestArtifact());
  ModelRegistry registry = OpenRegistry();
  ASSERT_TRUE(registry.Publish("mine", TestArtifact(), "").ok());
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 0);
  EXPECT_EQ(registry.List()->size(), 1);
}

TEST_F(ZooTest, WhatItsOwnerDeletedIsNotCounted) {
  Put("blood.cyp", TestArtifact());
  ModelRegistry registry = OpenRegistry();
  ASSERT_EQ(*OfferZoo(zoo(), marker(), registry), 1);
  ASSERT_TRUE(registry.Delete({"blood", 1}).ok());
  Put("cells.cyp", TestArtifact());
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 1);
  EXPECT_THAT(*registry.ModelNames(), testing::ElementsAre("cells"));
  ASSERT_TRUE(registry.Delete({"cells", 1}).ok());
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 0);
}

TEST_F(ZooTest, GoesOnWhereItWasBrokenOff) {
  Put("blood.cyp", TestArtifact());
  Put("cells.cyp", "not yet whole");
  Put("tissue.cyp", TestArtifact());
  ModelRegistry registry = OpenRegistry();
  EXPECT_THAT(OfferZoo(zoo(), marker(), registry).status().message(), HasSubstr("cells.cyp: "));
  EXPECT_THAT(*registry.ModelNames(), testing::ElementsAre("blood"));
  Put("cells.cyp", TestArtifact());
  // What has come by then is not touched.
  ASSERT_TRUE(registry.Publish("tissue", TestArtifact(2), "").ok());
  ASSERT_TRUE(registry.Publish("blood", TestArtifact(2), "").ok());
  ASSERT_TRUE(registry.Delete({"blood", 1}).ok());
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 1);
  EXPECT_THAT(*registry.ModelNames(), testing::ElementsAre("blood", "cells", "tissue"));
  EXPECT_EQ(registry.List()->size(), 3);
  Put("late.cyp", TestArtifact());
  EXPECT_EQ(*OfferZoo(zoo(), marker(), registry), 0);
}

TEST_F(ZooTest, NamesTheFileThatIsNoModel) {
  Put("broken.cyp", "nothing");
  ModelRegistry registry = OpenRegistry();
  EXPECT_THAT(OfferZoo(zoo(), marker(), registry).status().message(), HasSubstr("broken.cyp: "));
}

TEST_F(ZooTest, NamesAFolderThatIsNotThere) {
  ModelRegistry registry = OpenRegistry();
  EXPECT_TRUE(absl::IsNotFound(OfferZoo(folder_ + "/none", marker(), registry).status()));
}

// The models of this repository, and the table that says what they are.
TEST(ReadyMadeModelsTest, AreWhatTheirTableSays) {
  const std::string folder = CYTOPRESS_ZOO;
  const std::string table = *ReadFile(folder + "/README.md", 1 << 20);
  int64_t bytes = 0;
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".cyp") continue;
    const std::string file = *ReadFile(entry.path().string(), kMaxArtifactFileBytes);
    const absl::StatusOr<Artifact> model = ParseArtifact(file);
    ASSERT_TRUE(model.ok()) << entry.path() << ": " << model.status();
    ASSERT_EQ(model->evaluations.size(), 2u);
    const v1::Evaluation& test = model->evaluations[1];
    EXPECT_EQ(test.split(), "test");
    const std::string name = absl::StrCat("| `", entry.path().stem().string(), "` |");
    const size_t begin = table.find(name);
    ASSERT_NE(begin, std::string::npos) << name;
    const std::string row = table.substr(begin, table.find('\n', begin) - begin);
    EXPECT_THAT(row, HasSubstr(absl::StrFormat("%.4f / %.4f", test.accuracy(), test.auc())));
    EXPECT_THAT(row, HasSubstr(absl::StrFormat("| %.1f MB |", 1e-6 * file.size())));
    bytes += static_cast<int64_t>(file.size());
    ++models;
  }
  EXPECT_EQ(models, 4);
  EXPECT_LE(bytes, 12000000) << "more than a repository should carry";
}

}  // namespace
}  // namespace cytopress
