#include "client/cli/usage.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace cytopress {
namespace {

constexpr int kMostTypos = 2;
constexpr char kSeeHelp[] = "Run with --help for more information.";

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

// "; did you mean ...?", or nothing.
std::string Suggestion(absl::string_view word, const std::vector<std::string>& known) {
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

// The command that was being parsed: the last of `app` and its commands that were named.
const CLI::App& Innermost(const CLI::App& app) {
  const std::vector<CLI::App*> named = app.get_subcommands();
  return named.empty() ? app : Innermost(*named.back());
}

std::vector<std::string> CommandsOf(const CLI::App& app) {
  std::vector<std::string> names = {"--help"};  // in place of `help`
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

// Those of the command and those that all have.
std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* level : {&app, &Innermost(app)}) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// What nobody has taken, as it was typed.
std::string NotExpected(const CLI::App& app, const std::vector<std::string>& words) {
  std::string message = absl::StrCat(words.size() == 1 ? "an argument was" : "arguments were",
                                     " not expected: ", absl::StrJoin(words, " "));
  for (const std::string& word : words) {
    if (!absl::StartsWith(word, "--")) continue;
    return message + Suggestion(word.substr(0, word.find('=')), FlagsOf(app));
  }
  return message;
}

// Only numbers can fail to be converted.
std::string NotConverted(absl::string_view what) {
  absl::ConsumePrefix(&what, "Could not convert: ");
  const size_t equals = what.find(" = ");
  if (equals == absl::string_view::npos) return std::string(what);
  const absl::string_view value = what.substr(equals + 3);
  double number = 0;
  return absl::StrCat(what.substr(0, equals), ": '", value,
                      absl::SimpleAtod(value, &number) ? "' is not a whole number, or is too large"
                                                       : "' is not a number");
}

bool IsFile(const std::string& word) {
  std::error_code error;
  return absl::StartsWith(word, "-") && std::filesystem::exists(word, error);
}

}  // namespace

bool LacksCommand(const CLI::App& app, const CLI::ParseError& error) {
  return absl::string_view(error.what()) == CLI::RequiredError::Subcommand(1).what() &&
         app.remaining(/*recurse=*/true).empty();
}

UsageError ExplainUsageError(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> words = app.remaining(/*recurse=*/true);
  const auto file = std::find_if(words.begin(), words.end(), IsFile);
  if (file != words.end()) {
    return {absl::StrCat(*file, " is taken for a flag"),
            "Put -- before the files, or ./ before this one."};
  }
  const std::string what = error.what();
  const bool unknown_flag = std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return absl::StartsWith(word, "--");
  });
  if (what == CLI::RequiredError::Subcommand(1).what() && !words.empty() &&
      !absl::StartsWith(words[0], "-")) {
    return {absl::StrCat("\"", words[0], "\" is not a command",
                         Suggestion(words[0], CommandsOf(Innermost(app)))),
            "Run with --help for a list of them."};
  }
  if (unknown_flag || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return {NotExpected(app, words), kSeeHelp};
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    return {NotConverted(what), kSeeHelp};
  }
  return {what, kSeeHelp};
}

}  // namespace cytopress
