#include "client/cli/usage.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/arguments.h"

namespace cytopress {
namespace {

constexpr char kSeeHelp[] = "Run with --help for more information.";

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
  if (what == CLI::RequiredError::Subcommand(1).what() && !words.empty() &&
      !absl::StartsWith(words[0], "-")) {
    return {absl::StrCat("\"", words[0], "\" is not a command",
                         DidYouMean(words[0], CommandsOf(Innermost(app)))),
            "Run with --help for a list of them."};
  }
  if (HasUnknownFlag(app) || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return {NotExpected(app), kSeeHelp};
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    return {NotConverted(what), kSeeHelp};
  }
  return {what, kSeeHelp};
}

}  // namespace cytopress
