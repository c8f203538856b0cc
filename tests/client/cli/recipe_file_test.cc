#include "client/cli/recipe_file.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/jobs/recipes.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

TEST(ReadRecipeFile, SaysWhatIsWrongAndWhatCouldBeThere) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("wrong.json");
  const auto why = [&path](const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(path, text).ok());
    const absl::Status status = ReadRecipeFile(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    return std::string(status.message());
  };
  EXPECT_THAT(why(R"({"trian": {}})"), HasSubstr("no field trian; a recipe can have name, seed"));
  EXPECT_THAT(why(R"({"finetune": {"epoch": 3}})"),
              HasSubstr("no field finetune.epoch; finetune can have epochs, batchSize"));
  EXPECT_THAT(why(R"({"quantize": {"weights": "INT8"}})"),
              HasSubstr("quantize.weights is \"INT8\"; it can be WEIGHT_TYPE_FP32"));
  EXPECT_THAT(why("{\n\"seed\": 1,"), HasSubstr("not JSON: parse error at line 2"));
  EXPECT_THAT(why("{\"seed\": 1e999}"), HasSubstr("not JSON: number overflow"));
  EXPECT_THAT(why("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(why(R"({"prune": {"sparsity": "much"}})"), HasSubstr("much"));
}

TEST(ReadRecipeFile, KeepsAZeroThatStandsThere) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("zeros.json");
  ASSERT_TRUE(
      WriteFileAtomically(path, R"({"train": {"labelSmoothing": 0, "shiftPixels": 0}})").ok());
  const absl::StatusOr<v1::Recipe> recipe = ReadRecipeFile(path);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_TRUE(recipe->train().has_label_smoothing());
  EXPECT_TRUE(recipe->train().has_shift_pixels());
  EXPECT_FALSE(recipe->train().has_momentum());
}

TEST(ReadRecipeFile, TakesBothSpellingsOfFieldsAndAnyLayer) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("spelled.json");
  ASSERT_TRUE(WriteFileAtomically(path, R"({"finetune": {"batch_size": 32, "learningRate": 0.1},
      "prune": {"sparsity": 0.5, "layerSparsity": {"layer1.0.conv1": 0.25}},
      "onCollapse": "COLLAPSE_POLICY_REPORT"})")
                  .ok());
  const absl::StatusOr<v1::Recipe> recipe = ReadRecipeFile(path);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->finetune().batch_size(), 32);
  EXPECT_DOUBLE_EQ(recipe->finetune().learning_rate(), 0.1);
  EXPECT_DOUBLE_EQ(recipe->prune().layer_sparsity().at("layer1.0.conv1"), 0.25);
  EXPECT_EQ(recipe->on_collapse(), v1::COLLAPSE_POLICY_REPORT);
}

TEST(ReadRecipeFile, TheNamedRecipesOfTheDocumentationAreThoseOfTheProgram) {
  for (const std::string& name : RecipeNames()) {
    const absl::StatusOr<v1::Recipe> written =
        ReadRecipeFile(absl::StrCat(CYTOPRESS_DOCS, "/recipes/named/", name, ".json"));
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*written, *NamedRecipe(name)))
        << "is: " << NamedRecipe(name)->DebugString();
  }
}

TEST(ReadRecipeFile, EveryRecipeOfTheDocumentationCanBeRead) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(absl::StrCat(CYTOPRESS_DOCS, "/recipes"))) {
    if (entry.path().extension() != ".json") continue;
    EXPECT_TRUE(ReadRecipeFile(entry.path().string()).ok()) << entry.path();
    ++files;
  }
  EXPECT_GT(files, 4);
}

}  // namespace
}  // namespace cytopress
