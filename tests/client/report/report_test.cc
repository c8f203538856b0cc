#include "client/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/report_judgement.h"
#include "client/report/sections.h"
#include "core/base/file.h"
#include "tests/client/report/sample_report.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Why `html` is not well-formed: a tag that is never closed or closes another, or a '<' or '&' in
// text; empty when it is.
std::string Malformed(const std::string& html) {
  static const auto* const kVoid = new std::set<std::string>{"meta", "br", "hr"};
  std::vector<std::string> open;
  size_t at = 0;
  while ((at = html.find_first_of("<&", at)) != std::string::npos) {
    if (html[at] == '&') {
      const size_t end = html.find_first_of("; \n<", at);
      if (end == std::string::npos || html[end] != ';') return html.substr(at, 40);
      at = end;
      continue;
    }
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    std::string tag = html.substr(at + 1, end - at - 1);
    const bool closes_itself = tag.back() == '/';
    const bool closes = tag[0] == '/';
    const std::string name = tag.substr(closes, tag.find_first_of(" \n/", closes) - closes);
    if (tag[0] != '!' && closes) {
      if (open.empty() || open.back() != name) {
        return absl::StrCat("</", name, "> closes ", open.empty() ? "nothing" : open.back());
      }
      open.pop_back();
    } else if (tag[0] != '!' && !closes_itself && kVoid->count(name) == 0) {
      open.push_back(name);
    }
    at = end + 1;
    if (!closes && (name == "style" || name == "script")) at = html.find("</" + name, at);
  }
  return open.empty() ? "" : absl::StrCat("<", open.back(), "> is never closed");
}

TEST(Malformed, NoticesWhatIsNotWellFormed) {
  EXPECT_EQ(Malformed("<p>a &amp; b<br></p>"), "");
  EXPECT_NE(Malformed("<p>a"), "");
  EXPECT_NE(Malformed("<p><b>a</p></b>"), "");
  EXPECT_NE(Malformed("<p>a & b</p>"), "");
}

TEST(RenderReport, IsOneWellFormedPageThatAsksNobodyForAnything) {
  const std::string html = RenderReport(SampleReport());
  // To look at in a browser.
  if (const char* path = std::getenv("CYTOPRESS_SAMPLE_REPORT")) {
    ASSERT_TRUE(WriteFileAtomically(path, html).ok());
  }
  EXPECT_EQ(Malformed(html), "");
  for (const char* request : {"src=", "href=", "url(", "@import", "http:", "https:"}) {
    EXPECT_THAT(html, Not(HasSubstr(request)));
  }
}

TEST(RenderReport, EscapesWhatComesFromOutside) {
  ReportData data = SampleReport();
  data.title = "\"><script>alert(1)</script>";
  data.cells[0].model->mutable_ledger(0)->set_note("<b>&");
  for (ReportCell& cell : data.cells) {
    if (!cell.model.has_value()) continue;
    cell.model->set_class_names(7, "<i>platelet</i>");
    cell.model->mutable_certificate()->set_processor("<i>processor</i>");
  }
  data.jobs.clear();
  const std::string html = RenderReport(data);
  EXPECT_THAT(html, HasSubstr("&lt;i&gt;platelet&lt;/i&gt;"));
  EXPECT_THAT(html, HasSubstr("on one thread, onednn-int8, &lt;i&gt;processor&lt;/i&gt;<"));
  EXPECT_THAT(html, Not(HasSubstr("<i>")));
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;&amp;"));
  EXPECT_EQ(Malformed(html), "");
}

TEST(RenderReport, ShowsTheFiguresBesideThePapers) {
  const ReportData data = SampleReport();
  const std::string grid = GridSection(data);
  for (const ReportCell& cell : data.cells) {
    if (!cell.model.has_value()) continue;
    EXPECT_THAT(grid,
                HasSubstr(absl::StrFormat("<b>%.4f</b>", cell.model->evaluations(1).accuracy())));
  }
  for (const char* text : {"paper 0.9669, AUC 0.9983", "paper 0.3308, AUC 0.8148, collapsed",
                           "paper 0.1824, AUC 0.5622, collapsed", ">open<", ">collapsed<",
                           "no significant difference", "worse than dense"}) {
    EXPECT_THAT(grid, HasSubstr(text));
  }
  const std::string models = ModelsSection(data);
  EXPECT_THAT(models, HasSubstr(" gained</small><small>0."));
  EXPECT_THAT(models, HasSubstr(" points lost (95 % interval −"));
  EXPECT_THAT(models, HasSubstr("<small>dense 97.1 %</small>"));
  const std::string html = RenderReport(data);
  for (const char* text :
       {" the dense model&#39;s 0.9711", "20 of 21", "2,330",
        "cytopress reproduce blood-s80-int4@1", "93 % done", "not the official BloodMNIST",
        "A processor (avx2)", "guard: collapsed: 100 % of the answers"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
}

TEST(RenderReport, ColoursNoCellWhoseModelsDiffer) {
  ReportData data = SampleReport();
  const ReportCell good = data.cells.front();
  ReportCell bad = data.cells.back();
  bad.sparsity = good.sparsity;
  bad.weights = good.weights;
  bad.model->mutable_certificate()->set_parent("other-dense@1");
  data.cells = {good};
  EXPECT_THAT(GridSection(data), HasSubstr("<td class=\"good\">"));
  data.cells = {good, bad};
  const std::string grid = GridSection(data);
  EXPECT_THAT(grid, Not(HasSubstr("<td class=\"good\">")));
  EXPECT_THAT(grid, HasSubstr("against other-dense@1"));
  EXPECT_THAT(grid, HasSubstr(">no significant difference<"));
  EXPECT_THAT(grid, HasSubstr(">collapsed<"));
}

TEST(RenderReport, HasAccuraciesInOneNotation) {
  const std::string receipt = ReceiptSection(SampleReport());
  EXPECT_THAT(receipt, HasSubstr("0.9681 (95 % interval 0.9620 to 0.9735)"));
  EXPECT_THAT(receipt, Not(HasSubstr("96.81 %")));
}

// The images that only one of the two gets right.
void SetDiscordant(int only_parent, int only_model, double p_value, v1::Model* model) {
  model->mutable_certificate()->set_only_parent_right(only_parent);
  model->mutable_certificate()->set_only_model_right(only_model);
  model->mutable_certificate()->set_mcnemar_p_value(p_value);
}

TEST(GridSection, IsGreenOnlyWhereNoMoreThanSixTenthsMayBeLost) {
  ReportData data = SampleReport();
  data.cells.resize(1);
  v1::Model* const model = &*data.cells[0].model;
  SetDiscordant(20, 20, 1, model);
  std::string grid = GridSection(data);
  EXPECT_THAT(grid, HasSubstr("<td class=\"good\">"));
  EXPECT_THAT(grid, HasSubstr("<small>0.00 points lost (95 % interval −0.38 to 0.38)</small>"));
  EXPECT_THAT(grid, Not(HasSubstr("may be lost</small>")));
  SetDiscordant(38, 24, 0.0987, model);
  grid = GridSection(data);
  EXPECT_THAT(grid, HasSubstr("<td class=\"unsure\">"));
  EXPECT_THAT(grid, HasSubstr("<span class=\"badge unsure\">no significant difference</span>"));
  EXPECT_THAT(grid,
              testing::ContainsRegex("<small>up to 0[.][89][0-9] points may be lost</small>"));
  EXPECT_THAT(grid, Not(HasSubstr("<td class=\"good\">")));
  model->mutable_certificate()->mutable_parent_test()->set_images(0);
  EXPECT_THAT(GridSection(data), HasSubstr("<td class=\"unsure\">")) << "nothing bounds the loss";
  SetDiscordant(80, 20, 1e-9, model);
  EXPECT_THAT(GridSection(data), HasSubstr("<td class=\"warn\">"));
}

TEST(GridSection, SaysWhatWasNotAskedForOnlyOfASweep) {
  ReportData data = SampleReport();
  data.cells.erase(data.cells.begin() + 1);  // of which the paper has no figure
  data.jobs[0].mutable_spec()->mutable_sweep();
  EXPECT_THAT(GridSection(data), HasSubstr("not asked for"));
  data.jobs.clear();
  EXPECT_THAT(GridSection(data), HasSubstr("<td class=\"none\"></td>"));
  EXPECT_THAT(GridSection(data), Not(HasSubstr("not asked for")));
}

TEST(RenderReport, CallsAMixOfWeightsTheSameEverywhere) {
  ReportData data = SampleReport();
  const auto mix = [](ReportCell* cell) {
    cell->model->mutable_provenance()->mutable_spec()->mutable_goal();
  };
  mix(&data.cells[2]);  // 0 % INT4
  EXPECT_THAT(GridSection(data), HasSubstr("INT4</th><th scope=\"col\">INT4/INT8</th>"));
  EXPECT_THAT(ChartsSection(data), HasSubstr("</svg> INT4, INT4/INT8</span>"));
  for (ReportCell& cell : data.cells) {
    if (cell.weights == v1::WEIGHT_TYPE_INT4) mix(&cell);
  }
  data.cells.back().model.reset();  // still to come, of the same recipe
  data.cells.back().missing = "open";
  EXPECT_THAT(GridSection(data), HasSubstr("INT8</th><th scope=\"col\">INT4/INT8</th></tr>"));
  EXPECT_THAT(ChartsSection(data), HasSubstr("</svg> INT4/INT8</span>"));
}

TEST(RenderReport, OfModelsAloneCountsNoModelsMade) {
  ReportData data = SampleReport();
  EXPECT_THAT(RenderReport(data), HasSubstr("<span>models made</span>"));
  data.jobs.clear();
  EXPECT_THAT(RenderReport(data), Not(HasSubstr("<span>models made</span>")));
}

TEST(RenderReport, SaysThatTheDenseParentIsMissing) {
  ReportData data = SampleReport();
  data.dense.reset();
  EXPECT_THAT(RenderReport(data),
              HasSubstr("is not in the registry: none is chosen here; each says below how it"));
  for (ReportCell& cell : data.cells) {
    if (cell.model.has_value()) cell.model->clear_certificate();
  }
  EXPECT_THAT(RenderReport(data), HasSubstr("No dense parent of these models is known"));
}

TEST(RenderReport, NamesTheParentWhereThereAreSeveral) {
  ReportData data = SampleReport();
  std::string html = RenderReport(data);
  EXPECT_THAT(html, HasSubstr("within 0.6 points of the dense one, by validation accuracy, is "
                              "<strong>80 % INT4</strong> (blood-s80-int4@1)"));
  EXPECT_THAT(html, HasSubstr("<p class=\"muted\">resnet50, 28×28, 8 classes"));
  for (ReportCell& cell : data.cells) {
    if (cell.name == "blood-s80-int4") {
      cell.model->mutable_certificate()->set_parent("other-dense@1");
      cell.model->mutable_network()->set_architecture("resnet18");
    }
  }
  html = RenderReport(data);
  EXPECT_EQ(Malformed(html), "");
  EXPECT_THAT(html, HasSubstr("within 0.6 points of its dense parent blood-dense@1, by "
                              "validation accuracy, is <strong>80 % INT8</strong>"));
  EXPECT_THAT(html, HasSubstr("is asked only of those of blood-dense@1."));
  EXPECT_THAT(html, HasSubstr("<p class=\"muted\">8 classes, data set invented"));
  for (const char* of_one_parent : {"accuracy of the dense model", "AUC of the dense model"}) {
    EXPECT_THAT(html, Not(HasSubstr(of_one_parent)));
  }
}

TEST(RenderReport, ExplainsItsWords) {
  const ReportData data = SampleReport();
  for (const char* word : {"sparsity", "block4", "weights only", "certificate", "McNemar’s p",
                           "Pareto front", "expected calibration error"}) {
    EXPECT_THAT(RenderReport(data), testing::ContainsRegex(absl::StrCat("<dt>[^<]*", word)));
  }
}

TEST(RenderReport, PrintsWholeOnPaper) {
  const std::string html = RenderReport(SampleReport());
  const std::string print = html.substr(html.find("@media print"));
  // All sizes follow that of the root.
  EXPECT_THAT(print, HasSubstr("html{font-size:11px}"));
  EXPECT_THAT(html, HasSubstr("font:1rem/1.5 system-ui"));
  EXPECT_THAT(print, HasSubstr("td small,th small{white-space:normal}"));
  EXPECT_THAT(print, HasSubstr(".chart{min-width:0}"));
}

TEST(ConfusionSection, TintsErrorsThatAreFew) {
  const std::string html = ConfusionSection(SampleReport());
  EXPECT_THAT(html, testing::ContainsRegex("class=\"miss\" style=\"--s:0[.]1[0-9]*\">[0-9]"));
  EXPECT_THAT(html, Not(HasSubstr("hot")));
}

TEST(LedgerSection, MarksSumsAndLeavesOutTriesThatWereNotNeeded) {
  ReportData data;
  v1::Job& job = data.jobs.emplace_back();
  job.set_id("job-1");
  const auto add = [&job](const char* stage, v1::StageKind kind, const char* note) {
    v1::LedgerEntry* line = job.add_ledger();
    line->set_stage(stage);
    line->set_kind(kind);
    line->set_note(note);
    return line;
  };
  add("quantize", v1::STAGE_KIND_QUANTIZE, "");
  add("goal-try1", v1::STAGE_KIND_CELL, "");
  add("try 1", v1::STAGE_KIND_TRY, "")->set_validation_accuracy(0.9);
  add("try 2", v1::STAGE_KIND_TRY, "left out: it would end after the time budget");
  add("try 3", v1::STAGE_KIND_TRY, "not needed: the search is over");
  const std::string html = LedgerSection(data);
  EXPECT_THAT(html, HasSubstr("Job job-1: 1 stage, "));
  EXPECT_THAT(html, HasSubstr("<tr><th scope=\"row\">quantize</th>"));
  for (const char* sum : {"goal-try1", "try 1"}) {
    EXPECT_THAT(html, HasSubstr(absl::StrCat("<tr class=\"sum\"><th scope=\"row\">", sum,
                                             "<small>sum of lines above</small>")));
  }
  EXPECT_THAT(html, HasSubstr("<tr><th scope=\"row\">try 2</th>"));
  EXPECT_THAT(html, Not(HasSubstr("try 3")));
}

TEST(RenderReport, ADenseModelWithoutScoresIsNoMeasure) {
  ReportData data = SampleReport();
  data.dense->clear_evaluations();
  const std::string html = RenderReport(data);
  EXPECT_THAT(html, HasSubstr("The dense parent of these models was published without scores"));
  EXPECT_THAT(html, Not(HasSubstr("No model here")));
}

TEST(RenderReport, TheDenseModelsOwnParentIsNoneOfTheModels) {
  ReportData data = SampleReport();
  data.dense->mutable_certificate()->set_parent("x@1");
  data.dense->mutable_certificate()->mutable_parent_test()->set_accuracy(0.97);
  const std::string html = RenderReport(data);
  EXPECT_THAT(html, HasSubstr("accuracy of the dense model"));
  EXPECT_THAT(html, Not(HasSubstr("have different dense parents")));
}

TEST(RenderReport, SaysWhoseDataItIs) {
  ReportData data = SampleReport();
  data.identity = DataIdentity::kOfficial;
  EXPECT_THAT(RenderReport(data), HasSubstr("It is the official BloodMNIST file"));
  data.identity = DataIdentity::kUnknown;
  EXPECT_THAT(RenderReport(data), HasSubstr("could not be checked"));
  data.dense->mutable_provenance()->set_synthetic_data(true);
  EXPECT_THAT(RenderReport(data), HasSubstr("say nothing about real cells"));
}

TEST(RenderReport, ShowsThePapersFiguresOnlyBesideSuchModels) {
  const auto nothing_of_the_paper = [](const ReportData& data) {
    const std::string html = RenderReport(data);
    EXPECT_EQ(Malformed(html), "");
    for (const char* text : {"BloodMNIST", "paper 0.", "paper’s Figure 1"}) {
      EXPECT_THAT(html, Not(HasSubstr(text)));
    }
  };
  ReportData other_network = SampleReport();
  other_network.cells[4].model->mutable_network()->set_architecture("resnet18");
  nothing_of_the_paper(other_network);
  ReportData other_classes = SampleReport();
  other_classes.identity = DataIdentity::kUnknown;
  other_classes.dense->set_class_names(0, "cat");
  nothing_of_the_paper(other_classes);
  ReportData drawn = SampleReport();
  drawn.dense->mutable_provenance()->set_synthetic_data(true);
  nothing_of_the_paper(drawn);
  other_classes.identity = DataIdentity::kOfficial;  // whatever its classes are called here
  EXPECT_THAT(RenderReport(other_classes), HasSubstr("paper 0.9669"));
}

TEST(RenderReport, StandsWithNothingDoneYet) {
  ReportData data;
  data.title = "blood";
  data.cells.push_back({0.5, v1::WEIGHT_TYPE_INT8, "blood-s50-int8", std::nullopt, "open"});
  data.jobs.emplace_back().set_state(v1::JOB_STATE_RUNNING);
  const std::string html = RenderReport(data);
  EXPECT_EQ(Malformed(html), "");
  EXPECT_THAT(html, HasSubstr("0 of 1"));
  EXPECT_THAT(html, HasSubstr("No model has been made yet."));
  EXPECT_EQ(ChartsSection(data), "");
  // A base model is no model of the sweep.
  data.dense = SampleReport().dense;
  EXPECT_THAT(RenderReport(data), HasSubstr("No model has been made yet."));
  data.jobs[0].set_state(v1::JOB_STATE_FAILED);
  EXPECT_THAT(RenderReport(data), HasSubstr("No model has been made."));
}

TEST(RenderReport, SaysWhileASweepRunsThatMoreMayCome) {
  ReportData data = SampleReport();
  data.cells.erase(data.cells.begin(), data.cells.end() - 1);  // the broken one is left
  EXPECT_THAT(RenderReport(data), HasSubstr("No model made so far is within 0.6 points"));
  data.jobs[0].set_state(v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(RenderReport(data), HasSubstr("No model here is within 0.6 points"));
}

TEST(RenderReport, WarnsOfWhatCannotBeCompared) {
  ReportData data = SampleReport();
  for (const char* warning :
       {"are of different data sets", "different dense parents", "different processors"}) {
    EXPECT_THAT(RenderReport(data), Not(HasSubstr(warning)));
  }
  const ReportCell* const best = SmallestLossless(data);
  ASSERT_NE(best, nullptr);
  v1::Model* model = &*data.cells[best - data.cells.data()].model;
  model->mutable_provenance()->set_dataset_name("bone");
  model->mutable_provenance()->set_dataset_hash(std::string(64, 'b'));
  model->set_class_names(3, "osteoblast");
  model->mutable_certificate()->set_parent("bone-dense@4");
  model->mutable_certificate()->set_processor("Another processor");
  const std::string html = RenderReport(data);
  EXPECT_EQ(Malformed(html), "");
  for (const char* text :
       {"invented (dddddddd); bone (bbbbbbbb)", "blood-dense@1; bone-dense@4",
        "A processor (avx2); Another processor", "The class distribution below is that of"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  for (const char* comparison : {"All figures are those of", "The smallest model within",
                                 "accuracy of the dense model", "Pareto", "class=\"front\""}) {
    EXPECT_THAT(html, Not(HasSubstr(comparison)));
  }
  EXPECT_THAT(html, HasSubstr("each stands for itself"));
  EXPECT_THAT(ConfusionSection(data), HasSubstr("3 osteoblast"));  // its own name
  EXPECT_NE(SmallestLossless(data)->name, model->name());
}

void MakeChance(v1::Evaluation* evaluation) {
  evaluation->set_accuracy(0.19);
  evaluation->set_auc_low(0.48);
}

TEST(RenderReport, JudgesNothingAgainstADenseModelAtChance) {
  ReportData data = SampleReport();
  MakeChance(data.dense->mutable_evaluations(0));
  for (ReportCell& cell : data.cells) {
    if (!cell.model.has_value()) continue;
    cell.model->clear_ledger();
    MakeChance(cell.model->mutable_certificate()->mutable_parent_test());
  }
  const std::string html = RenderReport(data);
  EXPECT_THAT(html, HasSubstr("The dense model is at chance: not judged."));
  EXPECT_THAT(html, HasSubstr("<b>not judged</b><span>collapsed</span>"));
  EXPECT_THAT(html, HasSubstr("<td class=\"open\">"));
  for (const char* judgement :
       {">no significant difference<", ">worse than dense<", ">better than dense<"}) {
    EXPECT_THAT(html, Not(HasSubstr(judgement)));
  }
  EXPECT_EQ(SmallestLossless(data), nullptr);
}

TEST(RenderReport, DoesNotCallWhatIsNotJudgedNoDifference) {
  ReportData data = SampleReport();
  for (ReportCell& cell : data.cells) {  // at chance on the test split alone
    if (cell.model.has_value()) {
      MakeChance(cell.model->mutable_certificate()->mutable_parent_test());
    }
  }
  EXPECT_THAT(RenderReport(data),
              HasSubstr("of its dense parent, which is at chance on the test split: not judged."));
}

TEST(RenderReport, ComparesNothingWithoutAParent) {
  ReportData data = SampleReport();
  data.cells.resize(2);
  data.cells[1].weights = data.cells[0].weights;  // side by side
  for (ReportCell& cell : data.cells) {
    v1::Certificate* certificate = cell.model->mutable_certificate();
    *certificate = v1::Certificate();
    certificate->set_latency_seconds(0.00325);
  }
  const std::string html = RenderReport(data);
  EXPECT_EQ(Malformed(html), "");
  EXPECT_THAT(html, HasSubstr("3.25 ms"));
  for (const char* text : {"better than dense", "worse than dense", "p = ", ", dense 0.",
                           "dense model&#39;s", " against <"}) {
    EXPECT_THAT(html, Not(HasSubstr(text)));
  }
}

}  // namespace
}  // namespace cytopress
