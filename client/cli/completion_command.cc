// completion
#include <memory>
#include <string>

#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"

namespace cytopress {
namespace {

constexpr char kZshName[] = "zsh";

constexpr char kExamples[] =
    "Completes commands, their flags, values that --help shows in braces, and names of files.\n"
    "Examples:\n"
    "  source <(cytopress completion bash)    in ~/.bashrc, of bash 4 and newer\n"
    "  source <(cytopress completion zsh)     in ~/.zshrc, after compinit\n"
    "  cytopress completion bash > /usr/share/bash-completion/completions/cytopress";

}  // namespace

void AddCompletionCommand(CLI::App* app, CliContext* context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app->add_subcommand(
      "completion", "print a script by which a shell completes command lines of cytopress");
  command->add_option("SHELL", *shell, "which one")
      ->required()
      ->transform(OneOf({"bash", kZshName}));
  command->footer(kExamples);
  command->callback([app, context, shell] {
    context->set_command([app, context, shell]() -> absl::StatusOr<ExitCode> {
      context->out() << CompletionScript(*app, *shell == kZshName ? Shell::kZsh : Shell::kBash);
      return ExitCode::kOk;
    });
  });
}

}  // namespace cytopress
