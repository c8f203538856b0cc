// How the command line shows things: numbers for people, tables, JSON for scripts.
#ifndef CYTOPRESS_CLIENT_CLI_CONSOLE_H_
#define CYTOPRESS_CLIENT_CLI_CONSOLE_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "client/format.h"

namespace cytopress {

struct Console {
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool terminal = false;      // `out` is one: lines may be redrawn
  bool err_terminal = false;  // so is `err`
  int columns = 80;

  // That a line of `out` may have; 0: any number, for it is no terminal.
  int most_columns() const { return terminal ? columns : 0; }
};

// Clears a terminal's line from the cursor on.
constexpr char kClearToEnd[] = "\x1b[K";

// Columns of a terminal that UTF-8 takes: two for a character that is wide or full-width by
// Unicode's East Asian Width (UAX #11), none for one that combines with the one before, one for
// others.
size_t WidthOf(const std::string& text);
// With blanks behind, or before it, to `width` columns.
std::string Padded(const std::string& text, size_t width, bool right = false);
// No text is cut to less: rather, the terminal wraps the line.
inline constexpr size_t kNarrowestText = 24;
// `text`, which begins `before` columns from the left, cut to a line of `columns`, but not below
// kNarrowestText; whole where `columns` is 0.
std::string Fitting(const std::string& text, size_t before, int columns);

// Where a command writes that is given `path` for its output: "-" is standard output, as is the
// name of it.
constexpr char kStandardOutput[] = "/dev/stdout";
bool IsStandardOutput(const std::string& path);
// Of --csv, before anything is sent; `json`: whether JSON goes to standard output.
absl::Status CheckCsvOutput(const std::string& path, bool json);

// Columns as wide as their content, two blanks between them.
class Table {
 public:
  // A heading that begins with '>' is a column of numbers, set to the right.
  explicit Table(std::vector<std::string> headings);
  void AddRow(std::vector<std::string> cells);
  // A row of a first cell and of words behind it, for which no column becomes wider.
  void AddRemark(std::string cell, std::string remark);
  // Headings of columns that are left out, one after the other, where the lines would otherwise
  // not fit.
  void SetExpendable(std::vector<std::string> headings) { expendable_ = std::move(headings); }
  // The heading and the rows, aligned; the last column as Fitting has it.
  std::vector<std::string> Lines(int columns = 0) const;
  void Print(std::ostream* out, int columns = 0) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string remark;  // behind them
  };

  std::vector<size_t> Widths() const;
  // The columns that are not left out, by number.
  std::vector<size_t> Shown(const std::vector<size_t>& widths, int columns) const;

  std::vector<bool> right_;
  std::vector<std::string> expendable_;
  std::vector<Row> rows_;
};

using Json = nlohmann::ordered_json;

// Protobuf's JSON mapping with the field names of the .proto files; zero fields are there too.
Json ToJson(const google::protobuf::Message& message);

// Indented, for one document.
void PrintJson(const Json& json, std::ostream* out);
// On one line, for a stream of them.
void PrintJsonLine(const Json& json, std::ostream* out);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CONSOLE_H_
