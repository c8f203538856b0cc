// The ledger, the certificate and the receipt of report.html.
#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/format.h"
#include "client/report/html.h"
#include "client/report/report_judgement.h"
#include "client/report/sections.h"
#include "client/report/verdict.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// A line that a search writes for each try that it did not come to.
bool IsNotNeeded(const v1::LedgerEntry& entry) {
  return entry.kind() == v1::STAGE_KIND_TRY && !entry.has_validation_accuracy() &&
         absl::StartsWith(entry.note(), "not needed");
}

// Its time is that of lines above it, which must not be added to theirs. A try that was left out
// has no such lines, and no score.
bool IsSum(const v1::LedgerEntry& entry) {
  return entry.kind() == v1::STAGE_KIND_CELL ||
         (entry.kind() == v1::STAGE_KIND_TRY && entry.has_validation_accuracy());
}

std::string LedgerTable(const google::protobuf::RepeatedPtrField<v1::LedgerEntry>& ledger,
                        bool judged) {
  std::string html = absl::StrCat("<table class=\"ledger\">\n",
                                  HeaderRow({"stage", "time", "val ACC", "val AUC", "zeros",
                                             "packed", "on disk", "guard", "note"}),
                                  "<tbody>\n");
  for (const v1::LedgerEntry& entry : ledger) {
    if (IsNotNeeded(entry)) continue;
    const bool scored = entry.has_validation_accuracy();
    const v1::GuardVerdict verdict = VerdictOf(entry);
    const auto bytes = [](int64_t count) { return count == 0 ? "–" : FormatBytes(count); };
    absl::StrAppend(&html, IsSum(entry) ? "<tr class=\"sum\">" : "<tr>", "<th scope=\"row\">",
                    EscapeHtml(entry.stage()),
                    IsSum(entry) ? "<small>sum of lines above</small>" : "", "</th><td>",
                    FormatSeconds(entry.seconds()), "</td><td>",
                    scored ? Figure4(entry.validation_accuracy()) : "–", "</td><td>",
                    scored ? Figure4(entry.validation_auc()) : "–", "</td><td>",
                    FormatPercent(entry.sparsity(), 1), "</td><td>", bytes(entry.packed_bytes()),
                    "</td><td>", bytes(entry.disk_bytes()), "</td><td class=\"left\">");
    if (scored || verdict != v1::GUARD_VERDICT_FINE) {
      const bool unjudged = verdict == v1::GUARD_VERDICT_FINE && !judged;
      const char* const css_class = unjudged                                 ? "open"
                                    : verdict == v1::GUARD_VERDICT_FINE      ? "good"
                                    : verdict == v1::GUARD_VERDICT_COLLAPSED ? "bad"
                                                                             : "warn";
      absl::StrAppend(&html, "<span class=\"badge ", css_class, "\">",
                      unjudged ? "not judged" : InWords(verdict), "</span>");
    }
    absl::StrAppend(&html, "</td><td class=\"left note\">", EscapeHtml(entry.note()));
    if (!entry.guard().empty()) {
      absl::StrAppend(&html, "<small>guard: ", EscapeHtml(entry.guard()), "</small>");
    }
    html += "</td></tr>\n";
  }
  return html + "</tbody></table>\n";
}

std::string LedgerDetails(const std::string& of,
                          const google::protobuf::RepeatedPtrField<v1::LedgerEntry>& ledger,
                          bool open, bool judged) {
  if (ledger.empty()) return "";
  const auto found = std::count_if(ledger.begin(), ledger.end(), [](const v1::LedgerEntry& entry) {
    return !entry.guard().empty();
  });
  const auto stages = std::count_if(ledger.begin(), ledger.end(), [](const v1::LedgerEntry& entry) {
    return entry.kind() != v1::STAGE_KIND_CELL && entry.kind() != v1::STAGE_KIND_TRY;
  });
  return absl::StrCat("<details", open ? " open" : "", "><summary>", EscapeHtml(of), ": ", stages,
                      stages == 1 ? " stage, " : " stages, ",
                      found == 0 ? "the guard found nothing"
                                 : absl::StrCat("the guard found something after ", found),
                      "</summary>\n", Scrolling(of, LedgerTable(ledger, judged)), "</details>\n");
}

// Rows of a table with two columns.
class Facts {
 public:
  // `html` is escaped already.
  void Add(absl::string_view name, const std::string& html) {
    if (html.empty()) return;
    absl::StrAppend(&rows_, "<tr><th scope=\"row\">", name, "</th><td class=\"left\">", html,
                    "</td></tr>\n");
  }
  std::string Table(absl::string_view caption) const {
    return absl::StrCat("<table class=\"facts\">\n<caption>", caption, "</caption>\n<tbody>\n",
                        rows_, "</tbody></table>\n");
  }

 private:
  std::string rows_;
};

std::string CertificateTable(const v1::Model& model) {
  const std::vector<CertificateFact> found = CertificateFacts(model, Notation::kFraction);
  if (found.empty()) return "";
  Facts facts;
  facts.Add("against", EscapeHtml(model.certificate().parent()));
  for (const CertificateFact& fact : found) {
    facts.Add(EscapeHtml(fact.name), EscapeHtml(WithMinus(fact.text)));
  }
  return facts.Table(absl::StrCat("Certificate of ", EscapeHtml(ToString(model))));
}

std::string ProvenanceTable(const v1::Model& model) {
  const v1::Provenance& provenance = model.provenance();
  const std::map<std::string, std::string> versions(provenance.versions().begin(),
                                                    provenance.versions().end());
  std::string libraries;
  for (const auto& [library, version] : versions) {
    absl::StrAppend(&libraries, libraries.empty() ? "" : ", ", EscapeHtml(library), " ",
                    EscapeHtml(version));
  }
  Facts facts;
  facts.Add("data set", EscapeHtml(provenance.dataset_name()));
  facts.Add("its SHA-256",
            absl::StrCat("<code>", EscapeHtml(provenance.dataset_hash()), "</code>"));
  facts.Add("recipe, seed", absl::StrCat(EscapeHtml(provenance.spec().recipe().name()), ", ",
                                         provenance.spec().recipe().seed()));
  facts.Add("made from", EscapeHtml(provenance.parent()));
  facts.Add("job", absl::StrCat("<code>", EscapeHtml(provenance.job_id()), "</code>"));
  facts.Add("processor", EscapeHtml(provenance.processor()));
  facts.Add("threads", absl::StrCat(provenance.threads()));
  if (!provenance.device().empty()) facts.Add("device", EscapeHtml(provenance.device()));
  facts.Add("libraries", libraries);
  facts.Add("file’s SHA-256", absl::StrCat("<code>", EscapeHtml(model.sha256()), "</code>"));
  return facts.Table("Provenance");
}

}  // namespace

std::string LedgerSection(const ReportData& data) {
  std::string html;
  const bool judged = !DenseIsAtChance(data);
  for (const v1::Job& job : data.jobs) {
    html += LedgerDetails("Job " + job.id(), job.ledger(), data.jobs.size() == 1, judged);
  }
  for (const ReportCell& cell : data.cells) {
    if (!data.jobs.empty() || !cell.model.has_value()) continue;
    html +=
        LedgerDetails(ToString(*cell.model), cell.model->ledger(), data.cells.size() == 1, judged);
  }
  if (html.empty()) return "";
  return absl::StrCat(
      "<section id=\"ledger\">\n<h2>Ledger</h2>\n<p class=\"fine\">What every "
      "stage left, on the validation split, and what the collapse guard said: each "
      "drop has an owner.</p>\n",
      html, "</section>\n");
}

std::string ReceiptSection(const ReportData& data) {
  const ReportCell* chosen = SmallestLossless(data);
  for (const ReportCell& cell : data.cells) {
    if (chosen == nullptr && cell.model.has_value()) chosen = &cell;
  }
  if (chosen == nullptr) return "";
  std::string html = absl::StrCat(
      "<section id=\"receipt\">\n<h2>Certificate and receipt</h2>\n<div class=\"pair\">\n",
      CertificateTable(*chosen->model), ProvenanceTable(*chosen->model), "</div>\n");
  if (!data.commands.empty()) {
    html += "<h3>Do it again</h3>\n<pre>";
    for (const std::string& command : data.commands)
      absl::StrAppend(&html, EscapeHtml(command), "\n");
    html += "</pre>\n";
  }
  for (const ReportRecipe& recipe : data.recipes) {
    absl::StrAppend(&html, "<details><summary>", EscapeHtml(recipe.file),
                    ", with every default written out</summary>\n<pre>");
    // Escaped line by line: a line break is no text from outside.
    for (const auto& line : absl::StrSplit(recipe.json, '\n')) {
      absl::StrAppend(&html, EscapeHtml(line), "\n");
    }
    html += "</pre></details>\n";
  }
  return html + "</section>\n";
}

}  // namespace cytopress
