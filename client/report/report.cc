#include "client/report/report.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/report/html.h"
#include "client/report/page_style.h"
#include "client/report/report_judgement.h"
#include "client/report/sections.h"
#include "client/report/verdict.h"
#include "core/jobs/job_state.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// Of all models but the dense one, whose own is none of theirs; escaped.
std::vector<std::string> Parents(const ReportData& data) {
  std::set<std::string> parents;
  for (const ReportCell& cell : data.cells) {
    if (cell.model.has_value()) parents.insert(EscapeHtml(ParentOf(*cell.model)));
  }
  parents.erase("");
  return {parents.begin(), parents.end()};
}

// Where no dense parent could be fetched.
std::string HeadlineWithoutDense(const ReportData& data) {
  if (Parents(data).empty()) {
    return "No dense parent of these models is known: each stands for itself.";
  }
  return "The dense parent of these models is not in the registry: none is chosen here; each says "
         "below how it compares with its own.";
}

std::string Headline(const ReportData& data) {
  const ReportCell* best = SmallestLossless(data);
  const v1::Evaluation* test = best == nullptr ? nullptr : EvaluationOn(*best->model, "test");
  const bool goes_on = std::any_of(data.jobs.begin(), data.jobs.end(),
                                   [](const v1::Job& job) { return !IsTerminal(job.state()); });
  if (std::none_of(data.cells.begin(), data.cells.end(),
                   [](const ReportCell& cell) { return cell.model.has_value(); })) {
    return goes_on ? "No model has been made yet." : "No model has been made.";
  }
  if (!HaveOneDataset(data)) return "Models of different data sets: each stands for itself.";
  if (DenseIsAtChance(data)) return "The dense model is at chance: not judged.";
  if (!data.dense.has_value()) return HeadlineWithoutDense(data);
  if (ValidationAccuracy(*data.dense) <= 0) {  // it was imported
    return "The dense parent of these models was published without scores: none is chosen here; "
           "each says below how it compares with its own.";
  }
  // Where there are several, whose it is that the models are within 0.6 points of.
  const std::string its_name =
      Parents(data).size() < 2 ? "" : absl::StrCat(" ", EscapeHtml(ToString(*data.dense)));
  if (test == nullptr) {
    return absl::StrCat("No model ", goes_on ? "made so far" : "here",
                        " is within 0.6 points of the validation accuracy of ",
                        its_name.empty() ? "the dense model" : "its dense parent", its_name, ".");
  }
  const v1::Model& model = *best->model;
  std::string html = absl::StrCat(
      "The smallest model within 0.6 points of ",
      its_name.empty() ? "the dense one" : "its dense parent", its_name,
      ", by validation accuracy, is <strong>", CellName(*best), "</strong> (",
      EscapeHtml(ToString(model)), "): <strong>", FormatBytes(model.size().disk_bytes()),
      "</strong>, <strong>", TimesSmaller(model.size(), " times"),
      " smaller</strong> than the dense network in FP32 (", FormatBytes(model.size().dense_bytes()),
      "), with a test accuracy of <strong>", absl::StrFormat("%.4f", test->accuracy()),
      "</strong>");
  if (!model.certificate().has_parent_test()) return html + ".";
  const v1::Certificate& certificate = model.certificate();
  absl::StrAppend(&html, " against ", absl::StrFormat("%.4f", certificate.parent_test().accuracy()),
                  " of its dense parent");
  const std::string loss = WithMinus(LossInWords(certificate));
  const std::string p_value =
      absl::StrCat(" (McNemar’s test, ", EscapeHtml(PValueInWords(certificate.mcnemar_p_value())),
                   ")", loss.empty() ? "" : "; " + loss, ".");
  switch (CompareWithParent(certificate)) {
    case Comparison::kWorse:
      return html + ": a loss that is real" + p_value;
    case Comparison::kBetter:
      return html + ": a gain that is real" + p_value;
    case Comparison::kNoDifference:
      return html + ": no significant difference" + p_value;
    case Comparison::kNotJudged:
      break;
  }
  return html + ", which is at chance on the test split: not judged.";
}

std::string Tile(const std::string& value, const std::string& name) {
  return absl::StrCat("<li><b>", value, "</b><span>", name, "</span></li>\n");
}

std::string Tiles(const ReportData& data) {
  if (!HaveOneDataset(data)) return "";  // which dense model would they be about?
  int done = 0, collapsed = 0;
  for (const ReportCell& cell : data.cells) {
    done += cell.model.has_value() ? 1 : 0;
    collapsed += cell.model.has_value() && VerdictOf(*cell.model) == v1::GUARD_VERDICT_COLLAPSED;
  }
  std::string html = "<ul class=\"tiles\">\n";
  if (data.dense.has_value() && Parents(data).size() < 2) {
    if (const v1::Evaluation* test = EvaluationOn(*data.dense, "test")) {
      html += Tile(Figure4(test->accuracy()), "accuracy of the dense model");
      html += Tile(Figure4(test->auc()), "AUC of the dense model");
    }
  }
  // Models that were named are all there.
  if (!data.jobs.empty()) {
    html += Tile(absl::StrCat(done, " of ", data.cells.size()), "models made");
  }
  html += Tile(DenseIsAtChance(data) ? "not judged"
               : collapsed == 0      ? "none"
                                     : absl::StrCat(collapsed),
               "collapsed");
  return html + "</ul>\n";
}

// What stands side by side here although it cannot be compared.
std::string Warnings(const ReportData& data) {
  std::string html;
  const auto warn = [&html](const std::vector<std::string>& different, absl::string_view are_of,
                            absl::string_view so) {
    if (different.size() < 2) return;
    absl::StrAppend(&html, "<p class=\"banner\">These models ", are_of, ": ",
                    absl::StrJoin(different, "; "), ". ", so, "</p>\n");
  };
  const auto dataset = [](const v1::Model& model) {
    const v1::Provenance& provenance = model.provenance();
    return EscapeHtml(
        absl::StrCat(provenance.dataset_name(), " (", provenance.dataset_hash().substr(0, 8), ")"));
  };
  const auto processor = [](const v1::Model& model) {
    return EscapeHtml(model.certificate().processor());
  };
  if (!HaveOneDataset(data)) {  // whatever its file is called
    warn(Different(data, dataset), "are of different data sets",
         "Their figures are not of the same images: do not compare them. Within 0.6 points can "
         "only be one of those with the dense model’s data.");
  }
  warn(Parents(data), "have different dense parents",
       data.dense.has_value()
           ? absl::StrCat("Each is compared with its own; which is within 0.6 points is asked only "
                          "of those of ",
                          EscapeHtml(ToString(*data.dense)), ".")
           : "Each is compared with its own.");
  warn(Different(data, processor), "were timed on different processors",
       "Do not compare their latencies.");
  return html;
}

std::string AboutTheData(const ReportData& data) {
  const v1::Model* model = AnyModel(data);
  if (model == nullptr) return "";
  const bool alone = HaveOneDataset(data);
  const v1::Provenance& provenance = model->provenance();
  std::string html =
      absl::StrCat("<p class=\"data\">",
                   alone ? "All figures are those" : "The class distribution below is that",
                   " of the data set <b>", EscapeHtml(provenance.dataset_name()), "</b>",
                   alone ? ", measured on the files that are served. " : ". ");
  if (provenance.synthetic_data()) {
    return html +
           "<strong>Its cells are drawn by the program: the figures say nothing about real "
           "cells.</strong></p>\n";
  }
  if (data.identity == DataIdentity::kOfficial) {
    return html + "It is the official BloodMNIST file (by its MD5).</p>\n";
  }
  if (!IsLikeThePaper(data)) return html + "</p>\n";
  if (data.identity == DataIdentity::kOther) {
    return html +
           "<strong>It is not the official BloodMNIST file</strong> (by its MD5): the "
           "figures are comparable in kind with the paper’s, not on the same test "
           "images.</p>\n";
  }
  return html +
         "Whether it is the official BloodMNIST file could not be checked where this report "
         "was written: do not take the paper’s figures for figures on the same images.</p>\n";
}

std::string Unfinished(const ReportData& data) {
  std::string html;
  for (const v1::Job& job : data.jobs) {
    if (job.state() == v1::JOB_STATE_SUCCEEDED) continue;
    absl::StrAppend(&html, "<p class=\"banner\">Job <code>", EscapeHtml(job.id()),
                    "</code>: ", StateName(job.state()));
    if (!IsTerminal(job.state())) {
      absl::StrAppend(&html, ", ", FormatPercent(job.progress().fraction(), 0), " done");
      if (job.progress().eta_seconds() > 0) {
        absl::StrAppend(&html, ", about ", FormatSeconds(job.progress().eta_seconds()), " to go");
      }
      absl::StrAppend(&html, ". Cells marked “open” are still to come.");
    } else if (!job.error().empty()) {
      absl::StrAppend(&html, ": ", EscapeHtml(job.error()));
    }
    html += "</p>\n";
  }
  return html;
}

std::string Subtitle(const ReportData& data) {
  const v1::Model* model = AnyModel(data);
  std::string text;
  if (model != nullptr && HaveOneDataset(data)) {
    const std::vector<std::string> networks = Different(data, [](const v1::Model& each) {
      const v1::NetworkSpec& network = each.network();
      return EscapeHtml(absl::StrCat(network.architecture(), ", ", network.input_width(), "×",
                                     network.input_height()));
    });
    absl::StrAppend(&text, networks.size() == 1 ? networks[0] + ", " : "",
                    model->class_names_size(), " classes, data set ",
                    EscapeHtml(model->provenance().dataset_name()), " · ");
  }
  return absl::StrCat(text, "written ", EscapeHtml(data.made));
}

// The words that stand here without an explanation.
std::string Glossary(const ReportData& data) {
  if (AnyModel(data) == nullptr) return "";
  std::string html = "<details id=\"glossary\"><summary>What the words mean</summary>\n<dl>\n";
  const auto add = [&html](absl::string_view word, absl::string_view meaning) {
    absl::StrAppend(&html, "<dt>", word, "</dt><dd>", meaning, "</dd>\n");
  };
  add("pruned, sparsity", "the share of the weights that are set to zero and take no part");
  add("1×4 blocks (block4)",
      "weights are kept or removed four neighbours at a time, so that the processor can skip them");
  add("weights only",
      "accuracy with the stored weights in floating-point arithmetic: what rounding the "
      "activations costs is left out");
  add("certificate",
      "what was measured on the finished file, beside its dense parent on the same images");
  add("McNemar’s p",
      "how often chance alone would part two equally good models as far as here, by the images "
      "that only one of them gets right; below 0.05 the difference is called real");
  if (HaveOneDataset(data)) {
    add("Pareto front", "the models that no other beats at once in accuracy and in cost");
  }
  add("expected calibration error",
      "how far the confidence of an answer is from the share of such answers that are right, on "
      "average; 0 is best");
  return html + "</dl></details>\n";
}

// Paper has no closed sections.
constexpr char kScript[] =
    "<script>addEventListener('beforeprint',function(){document.querySelectorAll('details')"
    ".forEach(function(d){d.open=true})})</script>\n";

}  // namespace

std::string RenderReport(const ReportData& data) {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
      EscapeHtml(data.title), ": accuracy and size</title>\n<style>\n", kPageStyle,
      "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>", EscapeHtml(data.title),
      "</h1>\n<p class=\"muted\">", Subtitle(data), "</p>\n</header>\n", Unfinished(data),
      "<p class=\"headline\">", Headline(data), "</p>\n", Tiles(data), AboutTheData(data),
      Warnings(data), GridSection(data), ChartsSection(data), ModelsSection(data),
      ConfusionSection(data), DistributionSection(data), ReceiptSection(data), LedgerSection(data),
      Glossary(data),
      "<footer class=\"fine\">Within 0.6 points: validation accuracy at most 0.6 points below the "
      "dense model’s; the choice is made on the validation split, the figures shown are of the "
      "test split. Latency is the median of one image alone on one thread of the processor "
      "named in the certificate. Made by cytopress.</footer>\n</main>\n",
      kScript, "</body>\n</html>\n");
}

}  // namespace cytopress
