#include "client/cli/confusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::Model ModelOf(const std::vector<std::string>& names) {
  v1::Model model;
  for (const std::string& name : names) model.add_class_names(name);
  return model;
}

// Of three classes, the last of which has no image.
v1::Evaluation SampleEvaluation() {
  v1::Evaluation evaluation;
  for (const int count : {5, 0, 1, 3, 12, 1, 0, 0, 0}) evaluation.add_confusion(count);
  for (const double recall : {5.0 / 6, 0.75, std::nan("")}) evaluation.add_class_recall(recall);
  return evaluation;
}

std::string Printed(const v1::Model& model, const v1::Evaluation& measured,
                    const v1::Evaluation* stored, int columns) {
  std::ostringstream out;
  PrintRecall(model, measured, stored, columns, &out);
  return out.str();
}

TEST(PrintRecall, SaysHowManyAndWhatErrorsAreTakenFor) {
  const std::string text = Printed(ModelOf({"a", "b", "c"}), SampleEvaluation(), nullptr, 0);
  EXPECT_EQ(text,
            "\n"
            "class   recall     right  errors mostly taken for\n"
            "a      83.33 %    5 of 6  c (1 of 1)\n"
            "b      75.00 %  12 of 16  a (3 of 4)\n"
            "c            -    0 of 0\n"
            "\n"
            "confusion (rows: truth, columns: prediction)\n"
            "     0   1  2\n"
            "0 a  5   0  1\n"
            "1 b  3  12  1\n"
            "2 c  0   0  0\n");
}

TEST(PrintRecall, HasTheStoredRecallBesideIt) {
  v1::Evaluation stored;
  stored.add_class_recall(0.5);
  const std::string text = Printed(ModelOf({"a", "b", "c"}), SampleEvaluation(), &stored, 0);
  EXPECT_THAT(text, HasSubstr("class   recall     right   stored  errors"));
  EXPECT_THAT(text, HasSubstr("a      83.33 %    5 of 6  50.00 %  c (1 of 1)\n"));
  EXPECT_THAT(text, HasSubstr("b      75.00 %  12 of 16        -  a (3 of 4)\n"));
}

TEST(PrintRecall, LeavesOutAMatrixThatIsTooWideOrTooLarge) {
  const v1::Model model = ModelOf({"a", "b", "c"});
  EXPECT_THAT(Printed(model, SampleEvaluation(), nullptr, 13), HasSubstr("confusion"));
  EXPECT_THAT(Printed(model, SampleEvaluation(), nullptr, 12), Not(HasSubstr("confusion")));
  std::vector<std::string> names;
  v1::Evaluation evaluation;
  for (int i = 0; i < 13; ++i) names.push_back(absl::StrCat("class ", i));
  for (int i = 0; i < 13 * 13; ++i) evaluation.add_confusion(1);
  const std::string text = Printed(ModelOf(names), evaluation, nullptr, 0);
  EXPECT_THAT(text, HasSubstr("class 12"));
  EXPECT_THAT(text, Not(HasSubstr("confusion")));
}

}  // namespace
}  // namespace cytopress
