#include "core/base/help.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace cytopress {
namespace {

constexpr int kNarrowest = 60;  // of which flags take the left half
constexpr int kWidest = 100;    // longer lines are hard to read
constexpr int kUsual = 80;      // where there is no terminal

}  // namespace

HelpFormatter::HelpFormatter(int columns) : columns_(std::clamp(columns, kNarrowest, kWidest)) {}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  std::stringstream out;
  CLI::detail::format_help(out, command->get_display_name(true),
                           Wrapped(command->get_description()), get_column_width());
  return out.str();
}

std::string HelpFormatter::make_option_name(const CLI::Option* option, bool is_positional) const {
  // What CLI11 notes behind a flag that begins with --no-.
  return absl::StrReplaceAll(CLI::Formatter::make_option_name(option, is_positional),
                             {{"{false}", ""}});
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  return Wrapped(option->get_description());
}

std::string HelpFormatter::Wrapped(const std::string& text) const {
  const size_t room = columns_ - get_column_width();
  std::string wrapped;
  size_t width = 0;
  const std::vector<std::string> words = absl::StrSplit(text, ' ');
  for (const std::string& word : words) {
    const size_t with_word = width + 1 + word.size();
    if (wrapped.empty()) {
      width = word.size();
    } else if (with_word <= room) {
      wrapped += ' ';
      width = with_word;
    } else {
      wrapped += '\n';
      width = word.size();
    }
    wrapped += word;
  }
  return wrapped;
}

int TerminalColumns() {
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    winsize size = {};
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  return kUsual;
}

}  // namespace cytopress
