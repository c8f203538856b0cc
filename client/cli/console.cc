#include "client/cli/console.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <clocale>
#include <cwchar>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/pending_file.h"

namespace cytopress {
namespace {

constexpr int kJsonIndent = 2;
constexpr char kCut[] = "...";

// Of the columns of a table before the last of those that are shown.
size_t WidthBefore(const std::vector<size_t>& shown, const std::vector<size_t>& widths) {
  size_t width = 0;
  for (size_t i = 0; i + 1 < shown.size(); ++i) width += widths[shown[i]] + 2;
  return width;
}

}  // namespace

size_t WidthOf(const std::string& text) {
  // By glibc's tables of Unicode, whatever the user's locale is.
  static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  const locale_t users = uselocale(utf8);
  size_t width = 0;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    std::mbstate_t state = {};
    wchar_t character;
    const size_t bytes = std::mbrtowc(&character, at, end - at, &state);
    const bool known = bytes > 0 && bytes <= static_cast<size_t>(end - at);
    const int columns = known ? wcwidth(character) : -1;
    width += columns < 0 ? 1 : columns;
    ++at;
    while (at < end && (*at & 0xC0) == 0x80) ++at;  // what continues it
  }
  uselocale(users);
  return width;
}

std::string Padded(const std::string& text, size_t width, bool right) {
  if (WidthOf(text) >= width) return text;
  const std::string blanks(width - WidthOf(text), ' ');
  return right ? blanks + text : text + blanks;
}

std::string Fitting(const std::string& text, size_t before, int columns) {
  if (columns <= 0) return text;
  const size_t room = std::max(static_cast<size_t>(columns), before + kNarrowestText) - before;
  if (WidthOf(text) <= room) return text;
  std::string cut;
  size_t width = WidthOf(kCut);
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;  // what continues it
    const std::string character = text.substr(at, end - at);
    width += WidthOf(character);
    if (width > room) break;
    cut += character;
    at = end;
  }
  return cut + kCut;
}

bool IsStandardOutput(const std::string& path) { return path == "-" || path == kStandardOutput; }

absl::Status CheckCsvOutput(const std::string& path, bool json) {
  if (path.empty()) return absl::OkStatus();
  if (!IsStandardOutput(path)) return CheckWritable(path);
  if (!json) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--csv: ", path, " is where --json writes as well; name a file, or leave one of them out"));
}

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    const bool right = !heading.empty() && heading[0] == '>';
    if (right) heading.erase(0, 1);
    right_.push_back(right);
  }
  rows_.push_back({std::move(headings), ""});
}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(right_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back({std::move(cells), ""});
}

void Table::AddRemark(std::string cell, std::string remark) {
  rows_.push_back({{Printable(cell)}, Printable(remark)});
}

std::vector<size_t> Table::Widths() const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const Row& row : rows_) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], WidthOf(row.cells[i]));
    }
  }
  return widths;
}

std::vector<size_t> Table::Shown(const std::vector<size_t>& widths, int columns) const {
  std::vector<size_t> shown(widths.size());
  std::iota(shown.begin(), shown.end(), 0);
  if (columns <= 0) return shown;
  for (const std::string& heading : expendable_) {
    const size_t needed =
        WidthBefore(shown, widths) + std::min(widths[shown.back()], kNarrowestText);
    if (needed <= static_cast<size_t>(columns)) break;
    const auto is_left_out = [&](size_t i) { return rows_[0].cells[i] == heading; };
    shown.erase(std::remove_if(shown.begin(), shown.end(), is_left_out), shown.end());
  }
  return shown;
}

std::vector<std::string> Table::Lines(int columns) const {
  const std::vector<size_t> widths = Widths();
  const std::vector<size_t> shown = Shown(widths, columns);
  const size_t before = WidthBefore(shown, widths);
  std::vector<std::string> lines;
  for (const Row& row : rows_) {
    std::string line;
    for (const size_t i : shown) {
      if (i >= row.cells.size()) break;  // a remark
      const bool last = i == shown.back();
      const size_t width = last && !right_[i] ? 0 : widths[i];  // nothing stands behind it
      const std::string cell = Padded(row.cells[i], width, right_[i]);
      absl::StrAppend(&line, i == shown.front() ? "" : "  ",
                      last ? Fitting(cell, before, columns) : cell);
    }
    absl::StrAppend(&line, "  ", row.remark);
    lines.emplace_back(absl::StripTrailingAsciiWhitespace(line));
  }
  return lines;
}

void Table::Print(std::ostream* out, int columns) const {
  for (const std::string& line : Lines(columns)) *out << line << '\n';
}

Json ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  // Fails only for an Any of an unknown type, of which there is none in these messages, and for
  // times beyond the year 9999, which no model's file may have.
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return Json();
  return Json::parse(text);
}

void PrintJson(const Json& json, std::ostream* out) {
  *out << json.dump(kJsonIndent, ' ', false, Json::error_handler_t::replace) << '\n';
}

void PrintJsonLine(const Json& json, std::ostream* out) {
  *out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

}  // namespace cytopress
