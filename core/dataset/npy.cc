#include "core/dataset/npy.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// NumPy itself refuses longer ones.
constexpr uint32_t kMaxHeaderBytes = 10000;
constexpr size_t kMaxDimensions = 32;

absl::Status Bad(absl::string_view who, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(who, ": ", what));
}

// The few forms of Python literals that NumPy writes into a header.
class LiteralParser {
 public:
  explicit LiteralParser(absl::string_view text) : text_(text) {}

  // Skips blanks; true and past it when `token` is next.
  bool Take(absl::string_view token) {
    text_ = absl::StripLeadingAsciiWhitespace(text_);
    return absl::ConsumePrefix(&text_, token);
  }

  bool String(std::string* value) {
    for (const absl::string_view quote : {"'", "\""}) {
      if (!Take(quote)) continue;
      const size_t end = text_.find(quote[0]);
      if (end == absl::string_view::npos) return false;
      *value = std::string(text_.substr(0, end));
      text_.remove_prefix(end + 1);
      return true;
    }
    return false;
  }

  bool Boolean(bool* value) {
    *value = Take("True");
    return *value || Take("False");
  }

  bool Shape(std::vector<int64_t>* shape) {
    if (!Take("(")) return false;
    while (!Take(")")) {
      int64_t extent;
      if (shape->size() == kMaxDimensions || !Extent(&extent)) return false;
      shape->push_back(extent);
      if (!Take(",")) return Take(")");
    }
    return true;
  }

  bool AtEnd() { return absl::StripLeadingAsciiWhitespace(text_).empty(); }

 private:
  bool Extent(int64_t* extent) {
    text_ = absl::StripLeadingAsciiWhitespace(text_);
    size_t digits = 0;
    while (digits < text_.size() && absl::ascii_isdigit(text_[digits])) ++digits;
    if (!absl::SimpleAtoi(text_.substr(0, digits), extent)) return false;
    text_.remove_prefix(digits);
    absl::ConsumePrefix(&text_, "L");  // written by Python 2
    return true;
  }

  absl::string_view text_;
};

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyDictionary(absl::string_view who, absl::string_view text) {
  NpyHeader header;
  LiteralParser parser(text);
  bool descr = false, order = false, shape = false;
  bool good = parser.Take("{");
  while (good && !parser.Take("}")) {
    std::string key;
    good = parser.String(&key) && parser.Take(":");
    if (!good) break;
    if (key == "descr" && !descr) {
      if (parser.Take("[")) {
        return Bad(who, "its dtype is a structure; needed is an array of plain numbers");
      }
      good = descr = parser.String(&header.dtype);
    } else if (key == "fortran_order" && !order) {
      good = order = parser.Boolean(&header.fortran_order);
    } else if (key == "shape" && !shape) {
      good = shape = parser.Shape(&header.shape);
    } else {
      good = false;
    }
    if (good && !parser.Take(",")) {
      good = parser.Take("}");
      break;
    }
  }
  if (!good || !descr || !order || !shape || !parser.AtEnd()) {
    return Bad(
        who, absl::StrCat("malformed .npy header \"", absl::CHexEscape(text.substr(0, 200)), "\""));
  }
  return header;
}

absl::StatusOr<NpyHeader> ReadNpyHeader(absl::string_view who, ZipMemberReader* reader) {
  char start[10];
  CYTOPRESS_RETURN_IF_ERROR(reader->Read(sizeof(start), start));
  if (absl::string_view(start, kMagic.size()) != kMagic) {
    return Bad(who, "not a .npy array: it does not begin with \\x93NUMPY");
  }
  const auto byte = [&start](int i) {
    return static_cast<uint32_t>(static_cast<uint8_t>(start[i]));
  };
  const uint32_t major = byte(6);
  uint32_t header_bytes = byte(8) | byte(9) << 8;
  if (byte(7) != 0 || (major != 1 && major != 2)) {
    return Bad(who,
               absl::StrCat(".npy version ", major, ".", byte(7), "; only 1.0 and 2.0 are read"));
  }
  if (major == 2) {
    char rest[2];
    CYTOPRESS_RETURN_IF_ERROR(reader->Read(sizeof(rest), rest));
    header_bytes |= static_cast<uint32_t>(static_cast<uint8_t>(rest[0])) << 16 |
                    static_cast<uint32_t>(static_cast<uint8_t>(rest[1])) << 24;
  }
  if (header_bytes > kMaxHeaderBytes) {
    return Bad(who, absl::StrCat("its .npy header has ", header_bytes, " bytes; at most ",
                                 kMaxHeaderBytes, " are read"));
  }
  std::string text(header_bytes, '\0');
  CYTOPRESS_RETURN_IF_ERROR(reader->Read(header_bytes, text.data()));
  CYTOPRESS_ASSIGN_OR_RETURN(NpyHeader header, ParseNpyDictionary(who, text));
  header.data_offset = int64_t{major == 2 ? 12 : 10} + header_bytes;
  return header;
}

std::string ShapeString(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), shape.size() == 1 ? ",)" : ")");
}

int64_t ElementCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent != 0 && count > std::numeric_limits<int64_t>::max() / extent) return -1;
    count *= extent;
  }
  return count;
}

}  // namespace cytopress
