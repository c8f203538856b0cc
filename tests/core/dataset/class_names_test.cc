#include "core/dataset/class_names.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::Optional;

TEST(PlainClassNameTest, IsWhatSpellingsShare) {
  EXPECT_EQ(PlainClassName("Immature_Granulocyte-2"), "immaturegranulocyte2");
  EXPECT_EQ(PlainClassName("Erythrozyt\xc3\xbc"), "erythrozyt\xc3\xbc");
  EXPECT_EQ(PlainClassName("- +"), "");
  EXPECT_EQ(PlainClassName("CD4+ T-cell"), "cd4+tcell");
  EXPECT_EQ(PlainClassName("CD4- T-cell"), "cd4-tcell");
}

TEST(FindClassNameTest, TakesThisVeryNameBeforeOthersLikeIt) {
  const std::vector<std::string> names = {"CD4+", "CD4-", "immature granulocyte", "?"};
  EXPECT_THAT(FindClassName("CD4-", names), Optional(1));
  EXPECT_THAT(FindClassName("immature_granulocyte", names), Optional(2));
  EXPECT_THAT(FindClassName("?", names), Optional(3));
  EXPECT_EQ(FindClassName("cd4", names), std::nullopt) << "may be either";
  EXPECT_EQ(FindClassName("granulocyte", names), std::nullopt);
  EXPECT_EQ(FindClassName("!", names), std::nullopt);
  EXPECT_EQ(FindClassName("x", {"x", "x"}), std::nullopt);
}

TEST(MatchClassNamesTest, GivesEachClassOneOfItsOwnOrNone) {
  const std::vector<std::string> names = {"basophil", "immature granulocyte", "platelet"};
  EXPECT_THAT(MatchClassNames({"Platelet", "basophil", "immature_granulocyte"}, names),
              Optional(ElementsAre(2, 0, 1)));
  EXPECT_EQ(MatchClassNames({"Platelet", "basophil", "ig"}, names), std::nullopt);
  EXPECT_EQ(MatchClassNames({"Platelet", "basophil", "platelet"}, names), std::nullopt);
  EXPECT_EQ(MatchClassNames({"platelet", "basophil"}, names), std::nullopt);
  EXPECT_EQ(MatchClassNames({"CD4-", "CD8-"}, {"CD4+", "CD8+"}), std::nullopt) << "the opposite";
}

}  // namespace
}  // namespace cytopress
