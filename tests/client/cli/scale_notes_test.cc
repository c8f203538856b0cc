#include "client/cli/scale_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Model ModelThatCuts(int square) {
  v1::Model model;
  model.set_name("blood");
  model.set_version(2);
  model.mutable_preprocessing()->set_width(28);
  model.mutable_preprocessing()->set_height(28);
  model.mutable_preprocessing()->set_center_crop(square);
  return model;
}

TEST(ScaleNotes, TellsImagesThatAreMuchSmallerOrLarger) {
  const std::vector<ImageSize> sizes = {
      {360, 363},  // the photographs of the ready-made models
      {28, 28},   {200, 200}, {600, 600}, {199, 900}, {601, 602}, {720, 726},
  };
  const std::vector<ImageNote> notes = ScaleNotes(ModelThatCuts(200), sizes);
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[0].name, "small");
  EXPECT_THAT(notes[0].images, ElementsAre(4u));
  EXPECT_THAT(notes[0].text, AllOf(HasSubstr("1 of 7 images is smaller than the 200x200 pixels"),
                                   HasSubstr("blood@2")));
  EXPECT_EQ(notes[1].name, "large");
  EXPECT_THAT(notes[1].images, ElementsAre(5u, 6u));
  EXPECT_THAT(notes[1].text, HasSubstr("2 of 7 images are more than three times as wide"));
}

TEST(ScaleNotes, IsSilentAboutWhatItCannotKnow) {
  EXPECT_THAT(ScaleNotes(ModelThatCuts(0), {{10, 10}, {9000, 9000}}), IsEmpty());
  EXPECT_THAT(ScaleNotes(ModelThatCuts(200), {{28, 28}, {300, 250}}), IsEmpty());
  EXPECT_THAT(ScaleNotes(ModelThatCuts(200), {}), IsEmpty());
}

}  // namespace
}  // namespace cytopress
