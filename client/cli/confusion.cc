#include "client/cli/confusion.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/console.h"

namespace cytopress {
namespace {

constexpr int kMostClasses = 12;  // of a matrix that can be taken in

// A row of the matrix: the images of one class.
struct ClassRow {
  int64_t images = 0;
  int64_t right = 0;
  int taken_for = -1;  // by most of the others; -1 without an error
  int64_t taken = 0;   // how many these are
};

ClassRow RowOf(const v1::Evaluation& evaluation, int classes, int truth) {
  ClassRow row;
  for (int prediction = 0; prediction < classes; ++prediction) {
    const int64_t count = evaluation.confusion(truth * classes + prediction);
    row.images += count;
    if (prediction == truth) {
      row.right = count;
    } else if (count > row.taken) {
      row.taken_for = prediction;
      row.taken = count;
    }
  }
  return row;
}

double RecallOf(const v1::Evaluation& evaluation, int index) {
  return index < evaluation.class_recall_size() ? evaluation.class_recall(index) : std::nan("");
}

// Rows are the truth, columns the prediction.
Table MatrixOf(const v1::Model& model, const v1::Evaluation& evaluation) {
  const int classes = model.class_names_size();
  std::vector<std::string> headings = {""};
  for (int i = 0; i < classes; ++i) headings.push_back(absl::StrCat(">", i));
  Table table(std::move(headings));
  for (int truth = 0; truth < classes; ++truth) {
    std::vector<std::string> row = {absl::StrCat(truth, " ", model.class_names(truth))};
    for (int prediction = 0; prediction < classes; ++prediction) {
      row.push_back(absl::StrCat(evaluation.confusion(truth * classes + prediction)));
    }
    table.AddRow(std::move(row));
  }
  return table;
}

bool Fits(const Table& table, int columns) {
  const std::vector<std::string> lines = table.Lines();
  return columns <= 0 || std::all_of(lines.begin(), lines.end(), [columns](const auto& line) {
           return WidthOf(line) <= static_cast<size_t>(columns);
         });
}

}  // namespace

void PrintRecall(const v1::Model& model, const v1::Evaluation& measured,
                 const v1::Evaluation* stored, int columns, std::ostream* out) {
  const int classes = model.class_names_size();
  std::vector<std::string> headings = {"class", ">recall", ">right"};
  if (stored != nullptr) headings.push_back(">stored");
  headings.push_back("errors mostly taken for");
  Table table(std::move(headings));
  for (int truth = 0; truth < classes; ++truth) {
    const ClassRow row = RowOf(measured, classes, truth);
    std::vector<std::string> cells = {model.class_names(truth),
                                      FormatPercent(RecallOf(measured, truth)),
                                      absl::StrCat(row.right, " of ", row.images)};
    if (stored != nullptr) cells.push_back(FormatPercent(RecallOf(*stored, truth)));
    if (row.taken_for >= 0) {
      cells.push_back(absl::StrCat(model.class_names(row.taken_for), " (", row.taken, " of ",
                                   row.images - row.right, ")"));
    }
    table.AddRow(std::move(cells));
  }
  *out << '\n';
  table.Print(out);
  if (classes > kMostClasses) return;
  const Table matrix = MatrixOf(model, measured);
  if (!Fits(matrix, columns)) return;
  *out << "\nconfusion (rows: truth, columns: prediction)\n";
  matrix.Print(out);
}

}  // namespace cytopress
