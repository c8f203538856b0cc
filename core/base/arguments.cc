#include "core/base/arguments.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace cytopress {
namespace {

constexpr int kMostTypos = 2;

// How many letters have to be put in, taken out or replaced (Levenshtein).
int TyposBetween(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// Those that `app` has, and those of the commands that were named.
std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const CLI::App* command : app.get_subcommands()) {
    const std::vector<std::string> more = FlagsOf(*command);
    names.insert(names.end(), more.begin(), more.end());
  }
  return names;
}

bool IsLongFlag(const std::string& word) { return absl::StartsWith(word, "--"); }

}  // namespace

std::vector<std::string> ArgumentsToParse(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  bool flags = true;
  const auto is_flag_without_value = [&flags](absl::string_view argument) {
    return flags && argument.size() > 3 && absl::StartsWith(argument, "--") &&
           argument.find('=') == argument.size() - 1;
  };
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    flags = flags && argument != "--";
    if (is_flag_without_value(argument)) {
      arguments.emplace_back(argument.substr(0, argument.size() - 1));
      arguments.emplace_back();
    } else {
      arguments.emplace_back(argument);
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known) {
  std::string nearest;
  int fewest = kMostTypos + 1;
  for (const std::string& candidate : known) {
    const int typos = TyposBetween(word, candidate);
    if (typos >= fewest || typos >= static_cast<int>(word.size())) continue;
    fewest = typos;
    nearest = candidate;
  }
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

bool HasUnknownFlag(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining(/*recurse=*/true);
  return std::any_of(words.begin(), words.end(), IsLongFlag);
}

std::string NotExpected(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining(/*recurse=*/true);
  const std::string message = absl::StrCat(words.size() == 1 ? "an argument was" : "arguments were",
                                           " not expected: ", absl::StrJoin(words, " "));
  const auto flag = std::find_if(words.begin(), words.end(), IsLongFlag);
  if (flag == words.end()) return message;
  return message + DidYouMean(flag->substr(0, flag->find('=')), FlagsOf(app));
}

std::string UsageMessage(const CLI::App* app, const CLI::Error& error) {
  if (!HasUnknownFlag(*app)) return CLI::FailureMessage::simple(app, error);
  return absl::StrCat(NotExpected(*app), "\nRun with --help for more information.\n");
}

}  // namespace cytopress
