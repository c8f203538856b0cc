#include "client/cli/truth.h"

#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/dataset/class_names.h"

namespace cytopress {
namespace {

// In UTF-8, every byte of a letter beyond ASCII is one of these.
bool IsBeyondAscii(unsigned char c) { return c >= 0x80; }

// The first letter of each word.
std::string Initials(absl::string_view text) {
  std::string initials;
  bool in_word = false;
  for (const unsigned char c : text) {
    const bool letter = absl::ascii_isalnum(c);
    if (letter && !in_word) initials.push_back(absl::ascii_tolower(c));
    in_word = letter || IsBeyondAscii(c);
  }
  return initials;
}

std::vector<int> ClassesThat(const std::vector<std::string>& class_names,
                             absl::FunctionRef<bool(const std::string&)> fits) {
  std::vector<int> found;
  for (size_t i = 0; i < class_names.size(); ++i) {
    if (fits(class_names[i])) found.push_back(static_cast<int>(i));
  }
  return found;
}

std::vector<int> Candidates(absl::string_view name, const std::vector<std::string>& class_names) {
  if (const std::optional<int> whole = FindClassName(name, class_names)) return {*whole};
  const std::string wanted = PlainClassName(name);
  if (wanted.empty()) return {};
  std::vector<int> found = ClassesThat(class_names, [&](const std::string& name) {
    return absl::StartsWith(PlainClassName(name), wanted);
  });
  if (found.empty() && wanted.size() > 1) {
    found = ClassesThat(class_names, [&](const std::string& name) {
      return absl::StartsWith(Initials(name), wanted);
    });
  }
  return found;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseAliases(
    const std::vector<std::string>& entries) {
  std::map<std::string, std::string> aliases;
  for (const std::string& entry : entries) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == entry.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--alias \"", entry, "\" is not FOLDER=CLASS, such as ig=immature granulocyte"));
    }
    aliases[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return aliases;
}

absl::Status CheckAliases(const std::map<std::string, std::string>& aliases,
                          const std::vector<std::string>& class_names) {
  for (const auto& [folder, class_name] : aliases) {
    const size_t found = Candidates(class_name, class_names).size();
    if (found == 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--alias \"", folder, "=", class_name, "\": \"", class_name,
                     found == 0 ? "\" is none of the model's classes, which are "
                                : "\" may be several of the model's classes, which are ",
                     absl::StrJoin(class_names, ", ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> MatchClass(absl::string_view folder,
                               const std::vector<std::string>& class_names,
                               const std::map<std::string, std::string>& aliases) {
  const auto alias = aliases.find(std::string(folder));
  const std::vector<int> found =
      Candidates(alias == aliases.end() ? folder : alias->second, class_names);
  if (found.size() == 1) return found[0];
  const std::string remedy =
      absl::StrCat("the model's classes are ", absl::StrJoin(class_names, ", "),
                   "; say which one with --alias \"", folder, "=CLASS\"");
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("folder \"", folder, "\" names no class; ", remedy));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("folder \"", folder, "\" may be several classes; ", remedy));
}

}  // namespace cytopress
