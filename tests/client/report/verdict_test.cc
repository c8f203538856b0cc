#include "client/report/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

namespace cytopress {
namespace {

v1::Certificate Certificate(int only_parent, int only_model, double p) {
  v1::Certificate certificate;
  certificate.set_only_parent_right(only_parent);
  certificate.set_only_model_right(only_model);
  certificate.set_mcnemar_p_value(p);
  return certificate;
}

TEST(McNemarInWords, SaysWhichModelIsBetterOrThatNoneIs) {
  EXPECT_EQ(McNemarInWords(Certificate(12, 9, 0.6636)),
            "no significant difference to the dense model (p = 0.664): 12 images only that one "
            "gets right, 9 only this one");
  EXPECT_EQ(CompareWithParent(Certificate(60, 20, 1e-5)), Comparison::kWorse);
  EXPECT_EQ(CompareWithParent(Certificate(20, 60, 1e-5)), Comparison::kBetter);
  EXPECT_EQ(CompareWithParent(Certificate(60, 20, 0.05)), Comparison::kNoDifference);
  EXPECT_EQ(CompareWithParent(Certificate(60, 20, 0.049)), Comparison::kWorse);
  v1::Certificate at_chance = Certificate(12, 9, 0.6636);
  at_chance.mutable_parent_test()->set_accuracy(0.2);
  EXPECT_EQ(McNemarInWords(at_chance), "the dense model is at chance: not judged");
}

TEST(PValueInWords, OfWhatIsTinySaysNoDigits) {
  EXPECT_EQ(PValueInWords(0.0728), "p = 0.0728");
  EXPECT_EQ(PValueInWords(0.001), "p = 0.001");
  EXPECT_EQ(PValueInWords(3e-9), "p < 0.001");
}

TEST(LossInWords, BoundsWhatIsNoSignificantDifference) {
  v1::Certificate certificate = Certificate(22, 13, 0.175);
  EXPECT_EQ(LossInWords(certificate), "") << "of no images";
  v1::Evaluation* parent = certificate.mutable_parent_test();
  parent->set_images(3421);
  parent->set_accuracy(3323.0 / 3421);
  EXPECT_EQ(LossInWords(certificate), "0.26 points lost (95 % interval -0.09 to 0.63)");
  certificate.set_only_parent_right(13);
  certificate.set_only_model_right(22);
  EXPECT_THAT(LossInWords(certificate),
              testing::StartsWith("0.26 points gained (95 % interval -0."));
  const std::optional<Loss> loss = LossOf(certificate);
  ASSERT_TRUE(loss.has_value());
  EXPECT_NEAR(loss->lost, -9.0 / 3421, 1e-12) << "below zero where it gained";
  EXPECT_NEAR(loss->low, -0.0063, 5e-5);
  EXPECT_NEAR(loss->high, 0.0009, 5e-5);
  parent->set_accuracy(1);
  EXPECT_EQ(LossInWords(certificate), "") << "more images than there are";
  parent->set_accuracy(0.3);
  EXPECT_EQ(LossInWords(certificate), "") << "by a parent at chance";
}

TEST(ParentsLowestRecall, IsOfTheSameClass) {
  v1::Certificate certificate;
  EXPECT_TRUE(std::isnan(ParentsLowestRecall(certificate))) << "no parent";
  certificate.mutable_parent_test()->add_class_recall(0.99);
  certificate.mutable_parent_test()->add_class_recall(0.91);
  certificate.set_lowest_recall_class(1);
  EXPECT_EQ(ParentsLowestRecall(certificate), 0.91);
  for (const int of_no_class : {-1, 2}) {
    certificate.set_lowest_recall_class(of_no_class);
    EXPECT_TRUE(std::isnan(ParentsLowestRecall(certificate))) << of_no_class;
  }
}

TEST(IsAtChance, DependsOnTheMostFrequentClass) {
  const auto scored = [](double accuracy, std::vector<int> confusion) {
    v1::Evaluation evaluation;
    evaluation.set_accuracy(accuracy);
    for (const int count : confusion) evaluation.add_confusion(count);
    return evaluation;
  };
  EXPECT_TRUE(IsAtChance(scored(0.9, {900, 0, 100, 0}))) << "always the first class";
  EXPECT_FALSE(IsAtChance(scored(0.95, {900, 0, 50, 50})));
  EXPECT_FALSE(IsAtChance(scored(0.4, {40, 30, 30, 30, 40, 30, 30, 30, 40})))
      << "a third is chance";
  v1::Evaluation few = scored(0.95, {90, 0, 5, 5});  // too few images for the accuracy to tell
  few.set_auc_low(0.48);
  EXPECT_TRUE(IsAtChance(few));
  few.set_auc_low(0.97);
  EXPECT_FALSE(IsAtChance(few)) << "it ranks the images well";
  EXPECT_TRUE(IsAtChance(scored(0.49, {})));
  EXPECT_FALSE(IsAtChance(scored(0.5, {})));
  EXPECT_TRUE(IsAtChance(scored(0.49, {9, 0, 0, 9, 0, 0, 9, 0}))) << "not a whole matrix";
  EXPECT_FALSE(IsAtChance(scored(0.5, {9, 0, 0, 9, 0, 0, 9, 0})));
}

TEST(VerdictOf, GoesByTheFieldAndNotByTheWords) {
  v1::LedgerEntry line;
  line.set_verdict(v1::GUARD_VERDICT_COLLAPSED);
  line.set_guard("all is 'a; mended: b'");
  EXPECT_EQ(VerdictOf(line), v1::GUARD_VERDICT_COLLAPSED);
}

TEST(VerdictOf, LinesOfEarlierReleasesHaveOnlyWords) {
  v1::LedgerEntry line;
  EXPECT_EQ(VerdictOf(line), v1::GUARD_VERDICT_FINE);
  line.set_guard("collapsed: 88 % of the answers are 'eosinophil'");
  EXPECT_EQ(InWords(VerdictOf(line)), "see the remark");
}

TEST(VerdictOf, TakesTheLastLineOfAModelThatHasAScore) {
  v1::Model model;
  EXPECT_EQ(VerdictOf(model), v1::GUARD_VERDICT_FINE);
  v1::LedgerEntry* line = model.add_ledger();
  line->set_validation_accuracy(0.2);
  line->set_verdict(v1::GUARD_VERDICT_TRAINING_FOLLOWS);
  line = model.add_ledger();
  line->set_validation_accuracy(0);  // right on no image
  line->set_verdict(v1::GUARD_VERDICT_COLLAPSED);
  model.add_ledger()->set_stage("publish");
  EXPECT_EQ(VerdictOf(model), v1::GUARD_VERDICT_COLLAPSED);
  EXPECT_EQ(InWords(VerdictOf(model)), "collapsed");
}

TEST(ClassName, OfWhatHasNoneIsItsNumber) {
  v1::Model model;
  model.add_class_names("monocyte");
  EXPECT_EQ(ClassName(model, 0), "monocyte");
  EXPECT_EQ(ClassName(model, 1), "class 1");
  EXPECT_EQ(ClassName(model, -1), "class -1");
}

TEST(TimesSmaller, ComparesTheFileWithTheDenseNetwork) {
  v1::ModelSize size;
  EXPECT_EQ(TimesSmaller(size), "-");
  size.set_dense_bytes(94100000);
  size.set_disk_bytes(1287000);
  EXPECT_EQ(TimesSmaller(size), "73.1x");
  EXPECT_EQ(TimesSmaller(size, " times"), "73.1 times");
}

TEST(CertificateFacts, AreThereWithACertificateAndATest) {
  v1::Model model;
  v1::Evaluation* validation = model.add_evaluations();
  validation->set_split("val");
  model.mutable_certificate()->set_latency_seconds(0.00325);
  model.mutable_certificate()->set_engine("onednn-int8");
  model.mutable_certificate()->set_processor("a processor");
  EXPECT_TRUE(CertificateFacts(model).empty()) << "no test";
  validation->set_split("test");
  const std::vector<CertificateFact> facts = CertificateFacts(model);
  ASSERT_EQ(facts.size(), 7u) << "nothing is compared";
  EXPECT_STREQ(facts.back().name, "latency");
  EXPECT_EQ(facts.back().text, "3.25 ms for one image on one thread, onednn-int8, a processor");
  validation->set_accuracy(0.9741);
  EXPECT_THAT(CertificateFacts(model)[0].text, testing::StartsWith("97.41 % "));
  EXPECT_THAT(CertificateFacts(model, Notation::kFraction)[0].text, testing::StartsWith("0.9741 "));
  model.clear_certificate();
  EXPECT_TRUE(CertificateFacts(model).empty()) << "no certificate";
}

}  // namespace
}  // namespace cytopress
