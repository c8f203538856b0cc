#include "core/dataset/class_names.h"

#include <cstddef>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/utf8.h"

namespace cytopress {

std::vector<std::string> BloodMnistClassNames() {
  return {"basophil",   "eosinophil", "erythroblast", "immature granulocyte",
          "lymphocyte", "monocyte",   "neutrophil",   "platelet"};
}

std::string DefaultClassName(int label) { return absl::StrCat("class ", label); }

absl::Status CheckClassNames(const std::vector<std::string>& names) {
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    std::string wrong;
    if (name.empty()) {
      wrong = "is empty; give every class a name";
    } else if (!IsUtf8(name)) {
      wrong = absl::StrCat("\"", absl::CHexEscape(name), "\" is not UTF-8; write it in UTF-8");
    } else if (!seen.insert(name).second) {
      wrong = absl::StrCat("\"", name, "\" is there twice; names must differ");
    }
    if (!wrong.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("class_names[", i, "]: ", wrong));
    }
  }
  return absl::OkStatus();
}

std::string PlainClassName(absl::string_view name) {
  const auto is_letter = [name](size_t i) {
    if (i >= name.size()) return false;
    const unsigned char c = name[i];
    return absl::ascii_isalnum(c) || c >= 0x80;  // what UTF-8 has beyond ASCII
  };
  std::string plain;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool is_behind = i > 0 && is_letter(i - 1);
    const bool is_sign =
        (name[i] == '+' && is_behind) || (name[i] == '-' && is_behind && !is_letter(i + 1));
    if (is_letter(i) || is_sign) plain.push_back(absl::ascii_tolower(name[i]));
  }
  return plain;
}

std::optional<int> FindClassName(absl::string_view name, const std::vector<std::string>& names) {
  const std::string plain = PlainClassName(name);
  std::vector<int> same, alike;
  for (size_t i = 0; i < names.size(); ++i) {
    const int place = static_cast<int>(i);
    if (names[i] == name) same.push_back(place);
    if (!plain.empty() && PlainClassName(names[i]) == plain) alike.push_back(place);
  }
  const std::vector<int>& meant = same.empty() ? alike : same;
  if (meant.size() != 1) return std::nullopt;
  return meant[0];
}

std::optional<std::vector<int>> MatchClassNames(const std::vector<std::string>& found,
                                                const std::vector<std::string>& names) {
  if (found.size() != names.size()) return std::nullopt;
  std::vector<int> places;
  std::set<int> taken;
  for (const std::string& name : found) {
    const std::optional<int> place = FindClassName(name, names);
    if (!place || !taken.insert(*place).second) return std::nullopt;
    places.push_back(*place);
  }
  return places;
}

absl::Status SetClassNames(absl::string_view who, int classes, const DatasetOptions& options,
                           Dataset* dataset) {
  if (!options.class_names.empty()) dataset->class_names = options.class_names;
  if (dataset->class_names.empty()) {
    for (int label = 0; label < classes; ++label) {
      dataset->class_names.push_back(DefaultClassName(label));
    }
  }
  if (dataset->classes() != classes) {
    return absl::InvalidArgumentError(absl::StrCat(who, ": class_names has ", dataset->classes(),
                                                   " names; the data set has ", classes,
                                                   " classes and needs as many names"));
  }
  if (const absl::Status names = CheckClassNames(dataset->class_names); !names.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(who, ": ", names.message()));
  }
  if (!IsUtf8(dataset->name)) {
    return absl::InvalidArgumentError(absl::StrCat("the name of the data set, '",
                                                   absl::CHexEscape(dataset->name),
                                                   "', is not UTF-8; rename it in UTF-8"));
  }
  if (classes < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(who, ": it has one class; at least 2 are needed"));
  }
  const std::vector<int64_t> counts = ClassCounts(dataset->train, classes);
  for (int label = 0; label < classes; ++label) {
    if (counts[label] == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(who, ": class ", label, " ('", dataset->class_names[label],
                       "') has no training image; every class up to the largest label, ",
                       classes - 1, ", needs one"));
    }
  }
  return absl::OkStatus();
}

}  // namespace cytopress
