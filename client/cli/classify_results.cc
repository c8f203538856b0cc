#include "client/cli/classify_results.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/cli.h"

namespace cytopress {
namespace {

int64_t CountRight(const std::vector<FileResult>& files) {
  return std::count_if(files.begin(), files.end(), [](const FileResult& f) { return f.right(); });
}

int64_t CountFailed(const std::vector<FileResult>& files) {
  return std::count_if(files.begin(), files.end(),
                       [](const FileResult& f) { return !f.error.ok(); });
}

Json FilesAsJson(const ClassifyResults& results) {
  Json images = Json::array();
  for (const FileResult& file : results.files) {
    Json image;
    image["file"] = file.path;
    image["classes"] = ToJson(file.answer)["classes"];
    if (!file.error.ok()) image["error"] = std::string(file.error.message());
    if (file.truth.has_value()) image["truth"] = results.class_names[*file.truth];
    if (file.truth.has_value() && file.error.ok()) image["right"] = file.right();
    images.push_back(std::move(image));
  }
  return images;
}

// Quoted where the format asks for it.
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

void AppendCsvRow(const std::vector<std::string>& fields, std::string* csv) {
  absl::StrAppend(csv,
                  absl::StrJoin(fields, ",",
                                [](std::string* out, const std::string& field) {
                                  out->append(CsvField(field));
                                }),
                  "\n");
}

std::string TruthOf(const FileResult& file, const ClassifyResults& results) {
  return file.truth.has_value() ? results.class_names[*file.truth] : "";
}

void PrintRight(const ClassifyResults& results, std::ostream* out) {
  const std::vector<std::string>& class_names = results.class_names;
  std::vector<int64_t> all(class_names.size(), 0), right(class_names.size(), 0);
  int64_t answered = 0;
  for (const FileResult& file : results.files) {
    if (!file.error.ok()) continue;
    ++answered;
    ++all[*file.truth];
    right[*file.truth] += file.right() ? 1 : 0;
  }
  Table table({"class", ">images", ">right", ">share"});
  const auto add = [&table](const std::string& name, int64_t good, int64_t total) {
    table.AddRow({name, absl::StrCat(total), absl::StrCat(good),
                  FormatPercent(static_cast<double>(good) / total)});
  };
  for (size_t i = 0; i < class_names.size(); ++i) {
    if (all[i] > 0) add(class_names[i], right[i], all[i]);
  }
  add("all", CountRight(results.files), answered);
  *out << '\n';
  table.Print(out);
}

void PrintTiming(const ClassifySummary& summary, std::ostream* out) {
  const double seconds = absl::ToDoubleSeconds(summary.elapsed);
  const double images = static_cast<double>(summary.images);
  *out << absl::StrFormat(
      "\n%s by %s@%d in %s (%.0f images/s); in the service, an image: decoding %s, "
      "computing %s; waiting, a request: %s\n",
      FormatImages(summary.images), summary.model, summary.version, FormatSeconds(seconds),
      images / seconds, FormatMilliseconds(summary.timing.decode_seconds() / images),
      FormatMilliseconds(summary.timing.compute_seconds() / images),
      FormatMilliseconds(summary.timing.queue_seconds() / summary.requests));
}

}  // namespace

absl::Status Failures(const ClassifyResults& results) {
  const std::vector<FileResult>& files = results.files;
  const auto first = std::find_if(files.begin(), files.end(),
                                  [](const FileResult& file) { return !file.error.ok(); });
  if (first == files.end()) return absl::OkStatus();
  const int64_t failed = CountFailed(files);
  const auto all = static_cast<int64_t>(files.size());
  std::string message = absl::StrCat(first->path, ": ", first->error.message());
  if (all == 1) return absl::Status(first->error.code(), message);
  message = absl::StrCat(failed, " of ", all, " files failed; the first is ", message);
  return failed < all ? FilesFailed(failed, all, message)
                      : absl::Status(first->error.code(), message);
}

Json ToJson(const ClassifyResults& results, bool with_files) {
  const ClassifySummary& summary = results.summary;
  Json json;
  json["model"] = summary.model;
  json["model_version"] = absl::StrCat(summary.version);  // as in Protobuf's JSON
  json["answered"] = summary.images;
  json["failed"] = CountFailed(results.files);
  if (with_files) json["images"] = FilesAsJson(results);
  json["seconds"] = absl::ToDoubleSeconds(summary.elapsed);
  json["timing"] = ToJson(summary.timing);
  if (results.with_truth()) json["right"] = CountRight(results.files);
  if (!results.notes.empty()) json["notes"] = results.notes;
  return json;
}

std::string ToCsv(const ClassifyResults& results) {
  std::string csv;
  const auto add = [&](const FileResult& file, std::vector<std::string> fields) {
    fields.insert(fields.begin(), file.path);
    if (results.with_truth()) {
      fields.push_back(TruthOf(file, results));
      fields.push_back(!file.error.ok() ? "" : file.right() ? "true" : "false");
    }
    fields.emplace_back(file.error.message());
    AppendCsvRow(fields, &csv);
  };
  absl::StrAppend(&csv, "file,class,probability", results.with_truth() ? ",truth,right" : "",
                  ",error\n");
  for (const FileResult& file : results.files) {
    if (!file.error.ok()) add(file, {"", ""});
    if (!file.error.ok()) continue;
    for (const v1::ClassScore& score : file.answer.classes()) {
      add(file, {score.name(), absl::StrFormat("%.9g", score.probability())});
    }
  }
  return csv;
}

void PrintFiles(const ClassifyResults& results, std::ostream* out) {
  std::vector<std::string> headings = {"file", "class", ">probability"};
  if (results.with_truth()) headings.insert(headings.end(), {"truth", "right"});
  Table table(std::move(headings));
  for (const FileResult& file : results.files) {
    if (!file.error.ok()) {
      table.AddRemark(file.path, absl::StrCat("error: ", file.error.message()));
      continue;
    }
    for (int rank = 0; rank < file.answer.classes_size(); ++rank) {
      const v1::ClassScore& score = file.answer.classes(rank);
      std::vector<std::string> row = {rank == 0 ? file.path : "", score.name(),
                                      FormatPercent(score.probability())};
      if (results.with_truth() && rank == 0) {
        row.insert(row.end(), {TruthOf(file, results), file.right() ? "yes" : "no"});
      }
      table.AddRow(std::move(row));
    }
  }
  table.Print(out);
}

void PrintTotals(const ClassifyResults& results, std::ostream* out) {
  if (results.summary.images == 0) return;
  PrintTiming(results.summary, out);
  if (results.with_truth()) PrintRight(results, out);
}

}  // namespace cytopress
