// The scripts of `completion`, by bash itself, against what --help says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/client/cli/cli_fixture.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Completes the last of its arguments. What bash would do for names of files is printed.
constexpr char kDriver[] = R"sh(
source "$1" && shift
compopt() { echo "compopt $*"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_cytopress
printf '%s\n' "${COMPREPLY[@]}"
)sh";

class CompletionTest : public CliTest {
 protected:
  CompletionTest() {
    EXPECT_EQ(Run({"completion", "bash"}), 0) << err();
    EXPECT_TRUE(WriteFileAtomically(script_, out()).ok());
    EXPECT_TRUE(WriteFileAtomically(driver_, kDriver).ok());
  }

  // What bash offers in place of the last of the words that follow the program's name.
  std::vector<std::string> Offered(const std::vector<std::string>& words) const {
    return LinesOf(absl::StrCat("bash ", driver_, " ", script_, " cytopress '",
                                absl::StrJoin(words, "' '"), "'"));
  }

  static std::vector<std::string> LinesOf(const std::string& command) {
    std::string printed;
    FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {"no bash"};
    for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) printed += static_cast<char>(c);
    EXPECT_EQ(pclose(pipe), 0) << command << ": " << printed;
    return absl::StrSplit(printed, '\n', absl::SkipEmpty());
  }

  // That --help names.
  std::set<std::string> FlagsOf(std::vector<std::string> command) {
    std::set<std::string> flags;
    for (const std::string& line : Help(std::move(command))) {
      if (!absl::StartsWith(line, "  -")) continue;
      // "  -o,--output PATH ..." or "  --x,--no-x"
      const std::string names = line.substr(2, line.find(' ', 2) - 2);
      for (const absl::string_view name : absl::StrSplit(names, ',')) {
        flags.insert(std::string(name));
      }
    }
    return flags;
  }

  std::vector<std::string> CommandsOf(std::vector<std::string> command) {
    std::vector<std::string> commands;
    bool listed = false;
    for (const std::string& line : Help(std::move(command))) {
      if (listed && !absl::StartsWith(line, "  ")) break;
      if (listed && line[2] != ' ') commands.push_back(line.substr(2, line.find(' ', 2) - 2));
      listed = listed || line == "Subcommands:";
    }
    return commands;
  }

  std::vector<std::string> Help(std::vector<std::string> command) {
    command.push_back("--help");
    EXPECT_EQ(Run(command), 0) << err();
    return absl::StrSplit(out(), '\n');
  }

  const std::string script_ = folder_ + "/completion.bash";
  const std::string driver_ = folder_ + "/driver.bash";
};

TEST_F(CompletionTest, BashTakesTheScript) {
  EXPECT_THAT(LinesOf(absl::StrCat("bash -n ", script_)), IsEmpty());
  EXPECT_THAT(LinesOf(absl::StrCat("bash -c 'source ", script_, " && complete -p cytopress'")),
              ElementsAre("complete -F _cytopress cytopress"));
}

TEST_F(CompletionTest, CompletesCommands) {
  EXPECT_THAT(Offered({"comp"}), ElementsAre("compress", "completion"));
  EXPECT_THAT(Offered({"datasets", ""}), ElementsAre("show", "export"));
  EXPECT_THAT(Offered({"--json", "--server", "127.0.0.1", ":", "8500", "wa"}),
              ElementsAre("watch"));
  EXPECT_THAT(Offered({"--server", "jobs", "wa"}), ElementsAre("watch")) << "jobs is a host here";
}

TEST_F(CompletionTest, OffersEveryCommandAndFlagThatHelpNames) {
  const std::vector<std::string> commands = CommandsOf({});
  ASSERT_THAT(commands, Contains("compress"));
  EXPECT_THAT(Offered({""}), testing::UnorderedElementsAreArray(commands));
  std::vector<std::vector<std::string>> paths(1);  // the program's own
  for (const std::string& command : commands) {
    paths.push_back({command});
    for (const std::string& part : CommandsOf({command})) paths.push_back({command, part});
  }
  const std::set<std::string> of_all = FlagsOf({});
  for (const std::vector<std::string>& path : paths) {
    std::set<std::string> flags = FlagsOf(path);
    EXPECT_THAT(flags, Contains("--help"));
    flags.insert(of_all.begin(), of_all.end());
    std::vector<std::string> words = path;
    words.push_back("-");
    EXPECT_THAT(Offered(words), testing::UnorderedElementsAreArray(flags))
        << absl::StrJoin(path, " ");
  }
}

TEST_F(CompletionTest, CompletesFlagsAndTheirValues) {
  EXPECT_THAT(Offered({"compress", "--rec"}), ElementsAre("--recipe", "--recipe-file"));
  EXPECT_THAT(Offered({"compress", "--name", "sweep", "--from"}), IsEmpty()) << "of sweep";
  EXPECT_THAT(Offered({"compress", "--recipe", "pa"}), ElementsAre("paper"));
  EXPECT_THAT(Offered({"compress", "--architecture", "resnet2"}), ElementsAre("resnet20"));
  EXPECT_THAT(Offered({"compress", "--pattern", "2"}), ElementsAre("2:4"));
  EXPECT_THAT(Offered({"sweep", "--pattern", "2"}), IsEmpty());
  EXPECT_THAT(Offered({"compress", "--prune-method", "co"}), ElementsAre("cost-aware"));
  for (const char* equals : {"", "="}) {
    std::vector<std::string> words = {"compress", "--weights"};
    if (*equals != '\0') words.push_back(equals);  // as bash takes --weights=i apart
    words.push_back("i");
    EXPECT_THAT(Offered(words), testing::UnorderedElementsAre("int4", "int8")) << equals;
  }
  EXPECT_THAT(Offered({"sweep", "--weights", "fp16,int8,int4"}), ElementsAre("fp16,int8,int4"));
  EXPECT_THAT(Offered({"jobs", "--state", "run"}), ElementsAre("running"));
  EXPECT_THAT(Offered({"completion", ""}), ElementsAre("bash", "zsh"));
  EXPECT_THAT(Offered({"compress", "--name", ""}), IsEmpty()) << "free text";
  EXPECT_THAT(Offered({"compress", ""}), Contains("--name")) << "there is nothing else";
}

TEST_F(CompletionTest, LeavesNamesOfFilesToTheShell) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"classify", ""},
                                             {"classify", "a.png", "b"},
                                             {"import", "x"},
                                             {"datasets", "show", ""},
                                             {"compress", "--dataset", ""},
                                             {"compress", "--recipe-file", "="},
                                             {"download", "blood", "-o", ""},
                                             {"jobs", "--tls-ca", "ca"}}) {
    EXPECT_THAT(Offered(words), ElementsAre("compopt -o default")) << absl::StrJoin(words, " ");
  }
}

TEST_F(CompletionTest, BothShellsKnowTheSame) {
  const auto tables = [this](const std::string& shell) {
    EXPECT_EQ(Run({"completion", shell}), 0) << err();
    const size_t begin = out().find("_cytopress_next() {");
    return out().substr(begin, out().find("\n_cytopress() {") - begin);
  };
  const std::string of_bash = tables("bash");
  EXPECT_EQ(tables("zsh"), of_bash);
  EXPECT_TRUE(absl::StartsWith(out(), "#compdef cytopress\n"));
  EXPECT_EQ(Run({"completion", "fish"}), 2);
  EXPECT_THAT(err(), HasSubstr("'fish' is unknown; use one of bash, zsh"));
}

}  // namespace
}  // namespace cytopress
