#include "client/report/report_judgement.h"

#include <gtest/gtest.h>

#include "tests/client/report/sample_report.h"

namespace cytopress {
namespace {

TEST(SmallestLossless, IsChosenOnTheValidationSplit) {
  ReportData data = SampleReport();
  const ReportCell* chosen = SmallestLossless(data);
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->name, "blood-s80-int4");
  for (ReportCell& cell : data.cells) {
    if (cell.name == "blood-s80-int4") cell.model->mutable_evaluations(0)->set_accuracy(0.9);
    if (cell.model.has_value()) cell.model->mutable_evaluations(1)->set_accuracy(0.1);
  }
  chosen = SmallestLossless(data);
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->name, "blood-s80-int8");
  data.dense.reset();
  EXPECT_EQ(SmallestLossless(data), nullptr);
}

TEST(SmallestLossless, IsAModelOfTheDenseOne) {
  ReportData data = SampleReport();
  for (ReportCell& cell : data.cells) {  // of the same data set
    if (cell.name == "blood-s80-int4") {
      cell.model->mutable_certificate()->set_parent("other-dense@1");
    }
  }
  const ReportCell* const chosen = SmallestLossless(data);
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->name, "blood-s80-int8");
}

}  // namespace
}  // namespace cytopress
