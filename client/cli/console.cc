#include "client/cli/console.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

constexpr int kJsonIndent = 2;

struct CharacterRange {
  uint32_t first;
  uint32_t last;
};

// Accents, vowel signs and the like of the scripts that file names are often in, joiners, and
// variation selectors.
constexpr CharacterRange kCombining[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
    {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},
    {0x200B, 0x200F}, {0x20D0, 0x20F0}, {0x3099, 0x309A}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
};
// Hangul, kana, Han and what stands among them, full-width forms, and pictures.
constexpr CharacterRange kWide[] = {
    {0x1100, 0x115F}, {0x2E80, 0x303E}, {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF}, {0xA960, 0xA97F}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
    {0xFF01, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

template <size_t N>
bool IsIn(const CharacterRange (&ranges)[N], uint32_t character) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [character](const CharacterRange& range) {
                       return range.first <= character && character <= range.last;
                     });
}

// The one at `*at`, which becomes that of the next. What is no UTF-8 has some value.
uint32_t NextCharacter(const std::string& text, size_t* at) {
  const auto lead = static_cast<uint8_t>(text[(*at)++]);
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  uint32_t character = more == 0 ? lead : lead & (0x3F >> more);
  for (; *at < text.size() && (text[*at] & 0xC0) == 0x80; ++*at) {
    character = character << 6 | (text[*at] & 0x3F);
  }
  return character;
}

}  // namespace

size_t WidthOf(const std::string& text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    const uint32_t character = NextCharacter(text, &at);
    if (!IsIn(kCombining, character)) width += IsIn(kWide, character) ? 2 : 1;
  }
  return width;
}

std::string Padded(const std::string& text, size_t width, bool right) {
  if (WidthOf(text) >= width) return text;
  const std::string blanks(width - WidthOf(text), ' ');
  return right ? blanks + text : text + blanks;
}

bool IsStandardOutput(const std::string& path) { return path == "-" || path == kStandardOutput; }

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

std::vector<std::string> Table::Lines() const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const Row& row : rows_) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], WidthOf(row.cells[i]));
    }
  }
  std::vector<std::string> lines;
  for (const Row& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      absl::StrAppend(&line, i == 0 ? "" : "  ", Padded(row.cells[i], widths[i], right_[i]));
    }
    absl::StrAppend(&line, "  ", row.remark);
    lines.emplace_back(absl::StripTrailingAsciiWhitespace(line));
  }
  return lines;
}

void Table::Print(std::ostream* out) const {
  for (const std::string& line : Lines()) *out << line << '\n';
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
