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

constexpr double kLongWaitSeconds = 0.1;

int64_t CountRight(const std::vector<FileResult>& files) {
  return std::count_if(files.begin(), files.end(), [](const FileResult& f) { return f.right(); });
}

int64_t CountFailed(const std::vector<FileResult>& files) {
  return std::count_if(files.begin(), files.end(),
                       [](const FileResult& f) { return !f.error.ok(); });
}

// Of the files that have an answer.
struct ClassCount {
  int64_t images = 0;
  int64_t right = 0;
};

// By class.
std::vector<ClassCount> CountByClass(const ClassifyResults& results) {
  std::vector<ClassCount> counts(results.class_names.size());
  for (const FileResult& file : results.files) {
    if (!file.error.ok()) continue;
    ++counts[*file.truth].images;
    counts[*file.truth].right += file.right() ? 1 : 0;
  }
  return counts;
}

Json ByClassAsJson(const ClassifyResults& results) {
  Json classes = Json::array();
  const std::vector<ClassCount> counts = CountByClass(results);
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i].images == 0) continue;
    classes.push_back(Json{{"class", results.class_names[i]},
                           {"images", counts[i].images},
                           {"right", counts[i].right}});
  }
  return classes;
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
    if (!file.notes.empty()) image["notes"] = file.notes;
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
  Table table({"class", ">images", ">right", ">share"});
  const auto add = [&table](const std::string& name, const ClassCount& count) {
    table.AddRow({name, absl::StrCat(count.images), absl::StrCat(count.right),
                  FormatPercent(static_cast<double>(count.right) / count.images)});
  };
  const std::vector<ClassCount> counts = CountByClass(results);
  ClassCount all;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i].images > 0) add(results.class_names[i], counts[i]);
    all.images += counts[i].images;
    all.right += counts[i].right;
  }
  add("all", all);
  *out << '\n';
  table.Print(out);
}

std::string FormatWait(double seconds) {
  return seconds < 1 ? FormatMilliseconds(seconds) : FormatSeconds(seconds);
}

// A mean over the requests tells nothing of the first, which may have waited for the model.
std::string WaitingInWords(const ClassifyResults& results) {
  const ClassifySummary& summary = results.summary;
  std::string words = FormatWait(summary.timing.queue_seconds() / summary.requests);
  if (results.first_wait_seconds < kLongWaitSeconds) return words;
  if (summary.requests > 1) {
    absl::StrAppend(&words, ", the first ", FormatWait(results.first_wait_seconds));
  }
  return absl::StrCat(words, " (a model that is not in memory is loaded first)");
}

void PrintTiming(const ClassifyResults& results, std::ostream* out) {
  const ClassifySummary& summary = results.summary;
  const double images = static_cast<double>(summary.images);
  *out << absl::StrFormat(
      "\n%s; in the service, an image: decoding %s, computing %s; waiting, a request: %s\n",
      SpeedInWords(summary.images, absl::StrCat(" by ", summary.model, "@", summary.version),
                   summary.elapsed),
      FormatMilliseconds(summary.timing.decode_seconds() / images),
      FormatMilliseconds(summary.timing.compute_seconds() / images), WaitingInWords(results));
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

std::string SpeedInWords(int64_t images, absl::string_view by, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const double speed = static_cast<double>(images) / seconds;
  return absl::StrFormat("%s%s in %s (%.*f images/s)", FormatImages(images), by,
                         FormatSeconds(seconds), speed < 10 ? 1 : 0, speed);
}

Json ToJson(const ClassifyResults& results, bool with_files) {
  const ClassifySummary& summary = results.summary;
  Json json;
  json["model"] = summary.model;
  json["model_version"] = absl::StrCat(summary.version);  // as in Protobuf's JSON
  json["answered"] = summary.images;
  json["failed"] = CountFailed(results.files);
  json["not_classified"] = results.not_classified;
  if (with_files) json["images"] = FilesAsJson(results);
  json["seconds"] = absl::ToDoubleSeconds(summary.elapsed);
  json["timing"] = ToJson(summary.timing);
  if (results.with_truth()) {
    json["right"] = CountRight(results.files);
    json["by_class"] = ByClassAsJson(results);
  }
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
    fields.push_back(absl::StrJoin(file.notes, "; "));
    AppendCsvRow(fields, &csv);
  };
  absl::StrAppend(&csv, "file,class,probability", results.with_truth() ? ",truth,right" : "",
                  ",error,notes\n");
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
  PrintTiming(results, out);
  if (results.with_truth()) PrintRight(results, out);
}

}  // namespace cytopress
