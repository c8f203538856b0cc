#include "core/jobs/recipes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/jobs/job_spec.h"
#include "tests/core/jobs/good_spec.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

TEST(NamedRecipe, EveryNameGivesAValidRecipe) {
  for (const std::string& name : RecipeNames()) {
    const absl::StatusOr<v1::Recipe> recipe = NamedRecipe(name);
    ASSERT_TRUE(recipe.ok()) << name;
    EXPECT_EQ(recipe->name(), name);
    v1::JobSpec spec = GoodSpec();
    *spec.mutable_recipe() = *recipe;
    EXPECT_TRUE(ValidateJobSpec(spec).empty()) << name;
  }
  EXPECT_EQ(NamedRecipe("paper")->prune().sparsity(), 0.5);
  EXPECT_EQ(NamedRecipe("paper")->quantize().weights(), v1::WEIGHT_TYPE_INT8);
  EXPECT_EQ(NamedRecipe("paper")->max_accuracy_drop(), 0.05) << "broken models are named";
  EXPECT_EQ(NamedRecipe("quick")->max_accuracy_drop(), 0) << "three epochs are no measure";
  EXPECT_FALSE(NamedRecipe("dense")->has_prune());
  const absl::Status unknown = NamedRecipe("fast").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.message(), HasSubstr("paper, lossless, quick, dense"));
}

}  // namespace
}  // namespace cytopress
