// compress
#include <memory>

#include "client/cli/commands.h"
#include "client/cli/compress_request.h"
#include "client/cli/flag_names.h"
#include "client/cli/follow_job.h"
#include "client/cli/recipe_flags.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr char kExamples[] =
    "Follows the job unless --detach is given; Ctrl-C then leaves the job running.\n"
    "Examples:\n"
    "  cytopress compress --name blood --dataset bloodmnist.npz --recipe quick\n"
    "  cytopress compress --name blood --dataset bloodmnist.npz --stem stride2 --epochs 20\n"
    "  cytopress compress --name blood4 --base blood@1 --dataset bloodmnist.npz --weights int4\n"
    "  cytopress compress --name small --base blood@1 --dataset bloodmnist.npz\n"
    "      --sparsity 0.9 --pattern block4 --weights int4 --aware-epochs 2\n"
    "  cytopress compress --name tiny --base blood@1 --dataset bloodmnist.npz\n"
    "      --max-accuracy-drop 0.006 --max-bytes 2MB --time-budget 2h\n"
    "  cytopress compress --name as-in-paper --dataset bloodmnist.npz --recipe paper\n"
    "  cytopress compress --name blood --dataset cells/ --recipe-file mine.json --detach\n"
    "  cytopress compress --name demo --dataset synthetic --recipe quick --architecture resnet18\n"
    "\n"
    "A recipe file is the message Recipe of proto/cytopress/v1/recipe.proto in JSON; "
    "docs/recipes.md\n"
    "has the named ones as such files:\n"
    "  {\"train\": {\"epochs\": 12}, \"prune\": {\"sparsity\": 0.5}, \"finetune\": {\"epochs\": "
    "4},\n"
    "   \"quantize\": {\"weights\": \"WEIGHT_TYPE_INT8\"}}";

absl::StatusOr<ExitCode> Compress(CliContext* context, const CompressFlags& flags, bool detach) {
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::CompressRequest request, BuildCompressRequest(flags));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Job job, Submit(client, request, flags));
  if (!detach) {
    if (!context->json()) context->out() << "job " << job.id() << std::endl;
    return FollowJob(context, job.id());
  }
  PrintQueued(context, job);
  return ExitCode::kOk;
}

}  // namespace

void AddCompressCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<CompressFlags>();
  auto detach = std::make_shared<bool>(false);
  CLI::App* command = app->add_subcommand("compress", "train, prune, fine-tune, quantize, publish");
  command->add_option("--name", flags->name, "publish the model under this name")->required();
  AddRecipeFlags(command, flags.get());
  AddGoalFlags(command, flags.get());
  command->add_option("--request-id", flags->request_id,
                      "asking again with the same id answers with the same job");
  command->add_flag("--detach", *detach, "only queue the job");
  command->footer(kExamples);
  command->callback([context, flags, detach] {
    context->set_command([context, flags, detach] { return Compress(context, *flags, *detach); });
  });
}

}  // namespace cytopress
