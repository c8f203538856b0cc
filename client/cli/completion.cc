#include "client/cli/completion.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace cytopress {
namespace {

// Of both shells.
constexpr char kReadWords[] = R"sh(
# From the words before the cursor: `command` becomes the command that they name, `flag` the flag
# whose value comes next.
_cytopress_read() {
  local word
  command='' flag=''
  for word in "$@"; do
    if [[ -n $flag ]]; then
      [[ $word == '=' ]] || flag=''  # bash takes --flag=value apart
    elif [[ $word == -* ]]; then
      _cytopress_takes "$command" "$word"
      [[ -z $takes ]] || flag=$word
    else
      _cytopress_next "$command"
      [[ -z $word || " $subcommands " != *" $word "* ]] || command="${command:+$command }$word"
    fi
  done
}
)sh";

constexpr char kBash[] = R"sh(
_cytopress() {
  local command flag subcommands flags takes values
  local current=${COMP_WORDS[COMP_CWORD]} list=''
  _cytopress_read "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  [[ $current != '=' ]] || current=''
  _cytopress_next "$command"
  _cytopress_takes "$command" "$flag"
  COMPREPLY=()
  if [[ -z $flag && ($current == -* || -z $subcommands$takes) ]]; then
    values=$flags
  elif [[ $takes == path ]]; then
    compopt -o default
    return
  elif [[ -z $flag ]]; then
    values="$subcommands $values"
  fi
  [[ $takes != list ]] || list=${current%"${current##*,}"}
  mapfile -t COMPREPLY < <(compgen -P "$list" -W "$values" -- "${current#"$list"}")
}

complete -F _cytopress cytopress
)sh";

constexpr char kZsh[] = R"sh(
_cytopress() {
  local command flag subcommands flags takes values
  _cytopress_read "${(@)words[2,CURRENT-1]}"
  if [[ -z $flag && $PREFIX == --*=* ]]; then
    flag=${PREFIX%%=*}
    compset -P '*='
  fi
  _cytopress_next "$command"
  _cytopress_takes "$command" "$flag"
  [[ $takes != list ]] || compset -P '*,'
  if [[ -z $flag && ($PREFIX == -* || -z $subcommands$takes) ]]; then
    compadd -- ${=flags}
  elif [[ $takes == path ]]; then
    _files
  else
    compadd -- ${=subcommands} ${=values}
  fi
}

if [[ ${funcstack[1]} == _cytopress ]]; then
  _cytopress  # read from a file of this name in fpath
else
  compdef _cytopress cytopress
fi
)sh";

// Lines of the scripts' `case` statements.
struct Tables {
  std::string next;   // what may follow a command
  std::string takes;  // what may follow a flag, or a command that has an argument
};

// As they are typed.
std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> names = NamesOf(*option);
    flags.insert(flags.end(), names.begin(), names.end());
  }
  return flags;
}

// An assignment of what stands in place of its value; empty when it takes none.
std::string Takes(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::string type = option.get_type_name();
  if (type == kPath) return "takes=path";
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return "takes=text";
  const std::string values = type.substr(begin + 1, end - begin - 1);
  return absl::StrCat(option.get_delimiter() == ',' ? "takes=list" : "takes=one", " values='",
                      absl::StrReplaceAll(values, {{",", " "}}), "'");
}

// `command`: the beginning of a pattern.
void AddTakes(const CLI::App& app, const std::string& command, Tables* tables) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string takes = Takes(*option);
    if (takes.empty()) continue;
    std::vector<std::string> patterns;
    for (const std::string& name : NamesOf(*option)) {
      patterns.push_back(absl::StrCat(command, " ", name, "'"));
    }
    if (patterns.empty()) patterns.push_back(absl::StrCat(command, " '"));
    absl::StrAppend(&tables->takes, "    ", absl::StrJoin(patterns, " | "), ") ", takes, " ;;\n");
  }
}

// `name`: with those of the commands that it is one of. `known`: flags that all commands have.
void AddCommand(const CLI::App& app, const std::string& name, const std::vector<std::string>& known,
                Tables* tables) {
  const auto is_command = [](const CLI::App*) { return true; };
  std::vector<std::string> subcommands;
  for (const CLI::App* command : app.get_subcommands(is_command)) {
    subcommands.push_back(command->get_name());
    AddCommand(*command, absl::StrCat(name, name.empty() ? "" : " ", command->get_name()), known,
               tables);
  }
  std::vector<std::string> flags = FlagsOf(app);
  flags.erase(std::remove_if(flags.begin(), flags.end(),
                             [&known](const std::string& flag) {
                               return std::find(known.begin(), known.end(), flag) != known.end();
                             }),
              flags.end());
  absl::StrAppend(&tables->next, "    '", name, "') subcommands='", absl::StrJoin(subcommands, " "),
                  "' flags='", absl::StrJoin(flags, " "), "' ;;\n");
  if (!name.empty()) AddTakes(app, absl::StrCat("'", name), tables);
}

}  // namespace

std::string CompletionScript(const CLI::App& app, Shell shell) {
  const std::vector<std::string> known = FlagsOf(app);
  Tables tables;
  AddCommand(app, "", known, &tables);
  AddTakes(app, "*'", &tables);
  return absl::StrCat(shell == Shell::kZsh ? "#compdef cytopress\n" : "",
                      "# Made by `cytopress completion`, whose --help says how to use it.\n\n",
                      "_cytopress_next() {\n  subcommands='' flags=''\n  case $1 in\n", tables.next,
                      "  esac\n  flags=\"$flags ", absl::StrJoin(known, " "), "\"\n}\n\n",
                      "_cytopress_takes() {\n  takes='' values=''\n  case \"$1 $2\" in\n",
                      tables.takes, "  esac\n}\n", kReadWords, shell == Shell::kZsh ? kZsh : kBash);
}

}  // namespace cytopress
