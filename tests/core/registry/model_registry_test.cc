#include "core/registry/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/sha256.h"
#include "tests/captured_log.h"
#include "tests/core/registry/registry_fixture.h"

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using ModelRegistryTest = RegistryTest;

std::vector<std::string> Names(const std::vector<v1::Model>& models) {
  std::vector<std::string> names;
  for (const v1::Model& model : models) names.push_back(ToString({model.name(), model.version()}));
  return names;
}

TEST_F(ModelRegistryTest, PublishesInOrder) {
  EXPECT_EQ(Publish("blood"), 1);
  EXPECT_EQ(Publish("blood"), 2);
  EXPECT_EQ(Publish("cells"), 1);
  EXPECT_THAT(Names(*registry_.List()), ElementsAre("blood@2", "blood@1", "cells@1"));
  EXPECT_THAT(Names(*registry_.List("blood")), ElementsAre("blood@2", "blood@1"));
  EXPECT_THAT(Names(*registry_.List("none")), ElementsAre());
}

TEST_F(ModelRegistryTest, GivesBackTheBytes) {
  const std::string first = MarkedFile("first");
  const std::string second = MarkedFile("second");
  ASSERT_TRUE(registry_.Publish("blood", first, "").ok());
  ASSERT_TRUE(registry_.Publish("blood", second, "").ok());
  EXPECT_TRUE(*registry_.Read({"blood", 1}) == first);
  EXPECT_TRUE(*registry_.Read({"blood", 0}) == second);  // the newest
  EXPECT_EQ(*registry_.PathOf({"blood", 0}), PathIn("blood", "2.cyp"));
}

TEST_F(ModelRegistryTest, DescribesAModel) {
  Publish("blood");
  for (int round = 0; round < 2; ++round) {  // from the file, then from memory
    const absl::StatusOr<v1::Model> model = registry_.Get({"blood", 0});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(model->name(), "blood");
    EXPECT_EQ(model->version(), 1);
    EXPECT_EQ(model->class_names_size(), 4);
    EXPECT_EQ(model->sha256(), Sha256Hex(SampleFile()));
    EXPECT_EQ(model->size().disk_bytes(), static_cast<int64_t>(SampleFile().size()));
  }
}

TEST_F(ModelRegistryTest, RefusesBytesThatAreNoArtifact) {
  EXPECT_EQ(registry_.Publish("blood", "junk", "").status().code(),
            absl::StatusCode::kInvalidArgument);
  std::string damaged = SampleFile();
  damaged[damaged.size() / 2] ^= 1;
  EXPECT_EQ(registry_.Publish("blood", damaged, "").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(registry_.List()->empty());
}

TEST_F(ModelRegistryTest, RefusesNamesThatAreNoNames) {
  for (const char* name : {"", "../blood", "Blood", "a/b"}) {
    const auto code = absl::StatusCode::kInvalidArgument;
    EXPECT_EQ(registry_.Publish(name, SampleFile(), "").status().code(), code) << name;
    EXPECT_EQ(registry_.Get({name, 1}).status().code(), code) << name;
    EXPECT_EQ(registry_.Read({name, 1}).status().code(), code) << name;
    EXPECT_EQ(registry_.Delete({name, 1}).code(), code) << name;
  }
}

TEST_F(ModelRegistryTest, NotFoundNamesWhatThereIs) {
  const absl::Status empty = registry_.Get({"blood", 0}).status();
  EXPECT_EQ(empty.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(empty.message()), HasSubstr("empty"));
  Publish("cells");
  Publish("blood");
  Publish("blood");
  EXPECT_THAT(std::string(registry_.Get({"bloot", 0}).status().message()),
              HasSubstr("there are: blood, cells"));
  const absl::Status version = registry_.Read({"blood", 9}).status();
  EXPECT_EQ(version.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(version.message()), HasSubstr("no version 9; there are: 1, 2"));
}

TEST_F(ModelRegistryTest, SamePublicationKeySameVersion) {
  EXPECT_EQ(Publish("blood", "job-1"), 1);
  EXPECT_EQ(Publish("blood", "job-2"), 2);
  EXPECT_EQ(Publish("blood", "job-1"), 1);
  EXPECT_EQ(Publish("cells", "job-1"), 1);  // keys belong to a name
  EXPECT_EQ(Publish("cells", "job-2"), 2);
  EXPECT_EQ(Publish("blood"), 3);  // without a key, always a new one
  EXPECT_EQ(Publish("blood"), 4);
  // The bytes are those of the first time.
  EXPECT_EQ(registry_.Publish("blood", MarkedFile("later"), "job-1")->version, 1);
  EXPECT_TRUE(*registry_.Read({"blood", 1}) == SampleFile());
}

TEST_F(ModelRegistryTest, DeletedNumbersAreNotUsedAgain) {
  Publish("blood");
  Publish("blood", "job-2");
  ASSERT_TRUE(registry_.Get({"blood", 2}).ok());
  ASSERT_TRUE(registry_.Delete({"blood", 2}).ok());
  EXPECT_EQ(registry_.Get({"blood", 2}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry_.Get({"blood", 0})->version(), 1);
  EXPECT_FALSE(std::filesystem::exists(PathIn("blood", "2.cyp")));
  EXPECT_EQ(Publish("blood", "job-2"), 2);  // made once, deleted since: not made again
  EXPECT_FALSE(std::filesystem::exists(PathIn("blood", "2.cyp")));
  EXPECT_EQ(Publish("blood"), 3);

  ASSERT_TRUE(registry_.Delete({"blood", 1}).ok());
  ASSERT_TRUE(registry_.Delete({"blood", 3}).ok());
  EXPECT_TRUE(registry_.List()->empty());
  EXPECT_EQ(Publish("blood"), 4);
}

TEST_F(ModelRegistryTest, CountsItsOwnChanges) {
  ModelRegistry other = ModelRegistry::Open(root_).value();
  const ModelRegistry copy = registry_;
  const int64_t before = registry_.changes();
  Publish("blood");
  const int64_t published = registry_.changes();
  EXPECT_GT(published, before);
  ASSERT_TRUE(other.Publish("blood", SampleFile(), "").ok());
  EXPECT_EQ(registry_.changes(), published) << "it is another's";
  ASSERT_TRUE(registry_.Delete({"blood", 2}).ok());
  EXPECT_GT(registry_.changes(), published);
  EXPECT_EQ(copy.changes(), registry_.changes());
}

TEST_F(ModelRegistryTest, DeleteWantsAVersionThatExists) {
  Publish("blood");
  EXPECT_EQ(registry_.Delete({"blood", 0}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(registry_.Delete({"blood", 2}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry_.Delete({"cells", 1}).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(root_ + "/cells"));
}

TEST_F(ModelRegistryTest, ListLeavesOutWhatItCannotRead) {
  Publish("blood");
  WriteFile(PathIn("blood", "2.cyp"), "junk");
  EXPECT_THAT(Names(*registry_.List()), ElementsAre("blood@1"));
  EXPECT_FALSE(registry_.Get({"blood", 2}).ok());
}

TEST_F(ModelRegistryTest, ADamagedFileIsLoggedOnce) {
  Publish("blood");
  WriteFile(PathIn("blood", "2.cyp"), "junk");
  const CapturedLog log;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(registry_.List().ok());
  const std::string text = log.text();
  EXPECT_THAT(text, HasSubstr("blood@2 is left out of the list"));
  EXPECT_EQ(text.find("blood@2"), text.rfind("blood@2")) << text;
}

TEST_F(ModelRegistryTest, NamesAreReadFromFoldersAlone) {
  EXPECT_THAT(*registry_.ModelNames(), ElementsAre());
  Publish("cells");
  Publish("blood");
  Publish("blood");
  WriteFile(PathIn("blood", "3.cyp"), "junk");
  std::filesystem::create_directories(root_ + "/empty");
  EXPECT_THAT(*registry_.ModelNames(), ElementsAre("blood", "cells"));
  ASSERT_TRUE(registry_.Delete({"cells", 1}).ok());
  EXPECT_THAT(*registry_.ModelNames(), ElementsAre("blood"));
}

TEST_F(ModelRegistryTest, OtherFilesDoNotMatter) {
  Publish("blood");
  WriteFile(PathIn("blood", "notes.txt"), "");
  WriteFile(PathIn("blood", "007.cyp"), "");
  WriteFile(PathIn("blood", "-3.cyp"), "");
  WriteFile(root_ + "/README", "");
  std::filesystem::create_directories(root_ + "/Not A Model");
  std::filesystem::create_directories(root_ + "/empty");
  EXPECT_THAT(Names(*registry_.List()), ElementsAre("blood@1"));
  EXPECT_EQ(Publish("blood"), 2);
}

TEST_F(ModelRegistryTest, AFolderThatCannotBeReadIsLeftOut) {
  Publish("blood");
  Publish("secret");
  const auto secret = std::filesystem::path(root_) / "secret";
  std::filesystem::permissions(secret, std::filesystem::perms::none);
  const uid_t user = geteuid();
  if (user == 0) {  // who may read everything
    std::filesystem::permissions(
        std::filesystem::path(root_).parent_path(),
        std::filesystem::perms::group_exec | std::filesystem::perms::others_exec,
        std::filesystem::perm_options::add);
    ASSERT_EQ(seteuid(65534), 0);
  }
  const ModelRegistry other = ModelRegistry::Open(root_).value();
  const absl::StatusOr<std::vector<std::string>> names = other.ModelNames();
  const absl::StatusOr<std::vector<v1::Model>> models = other.List();
  const absl::Status of_all = other.Get({"none", 0}).status();
  const absl::Status of_one = other.Get({"secret", 0}).status();
  if (user == 0) {
    ASSERT_EQ(seteuid(user), 0);
  }
  std::filesystem::permissions(secret, std::filesystem::perms::owner_all);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("blood"));
  ASSERT_TRUE(models.ok()) << models.status();
  EXPECT_THAT(Names(*models), ElementsAre("blood@1"));
  EXPECT_EQ(of_all.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(of_one.code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(ModelRegistryTest, AFolderIsNoVersion) {
  Publish("blood");
  std::filesystem::create_directories(PathIn("blood", "7.cyp"));
  EXPECT_EQ(registry_.Get({"blood", 0})->version(), 1);
  EXPECT_EQ(Publish("blood"), 8) << "nothing can be stored as 7";
}

TEST_F(ModelRegistryTest, NothingComesAfterTheLastNumber) {
  Publish("blood", "job-1");
  std::filesystem::rename(PathIn("blood", "1.cyp"), PathIn("blood", "999999999999999.cyp"));
  std::filesystem::remove(PathIn("blood", "1.key"));
  for (const char* key : {"", "job-2"}) {
    EXPECT_EQ(registry_.Publish("blood", SampleFile(), key).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
  EXPECT_THAT(Names(*registry_.List()), ElementsAre("blood@999999999999999"));
}

TEST_F(ModelRegistryTest, ASecondRegistryOfTheFolderSeesTheSame) {
  const ModelRegistry other = ModelRegistry::Open(root_).value();
  Publish("blood");
  EXPECT_TRUE(other.Get({"blood", 1}).ok());
  ASSERT_TRUE(registry_.Delete({"blood", 1}).ok());
  EXPECT_EQ(other.Get({"blood", 1}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace cytopress
