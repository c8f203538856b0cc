// How --help of all programs looks.
#ifndef CYTOPRESS_CORE_BASE_HELP_H_
#define CYTOPRESS_CORE_BASE_HELP_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>

namespace cytopress {

// CLI11's own, with descriptions in lines that fit a terminal. For CLI::App::formatter, before
// commands are added.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(int columns);

  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_desc(const CLI::Option* option) const override;

 private:
  std::string Wrapped(const std::string& text) const;

  const size_t columns_;
};

// Of the terminal that standard output, or else standard error, goes to; 80 where there is none.
int TerminalColumns();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_HELP_H_
