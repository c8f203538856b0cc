// compress
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/compress_request.h"
#include "client/cli/follow_job.h"
#include "client/cli/names.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_spec.h"

namespace cytopress {
namespace {

constexpr char kExamples[] =
    "Follows the job unless --detach is given; Ctrl-C then leaves the job running.\n"
    "Examples:\n"
    "  cytopress compress --name blood --dataset bloodmnist.npz --recipe quick\n"
    "  cytopress compress --name blood --dataset bloodmnist.npz --stem stride2 --epochs 20\n"
    "  cytopress compress --name blood4 --base blood@1 --dataset bloodmnist.npz --weights int4\n"
    "  cytopress compress --name blood --dataset cells/ --recipe-file mine.json --detach\n"
    "  cytopress compress --name demo --dataset synthetic --recipe quick --architecture resnet18\n"
    "\n"
    "A recipe file is the message Recipe of proto/cytopress/v1/recipe.proto in JSON:\n"
    "  {\"train\": {\"epochs\": 12}, \"prune\": {\"sparsity\": 0.5}, \"finetune\": {\"epochs\": "
    "4},\n"
    "   \"quantize\": {\"weights\": \"WEIGHT_TYPE_INT8\"}}";

absl::StatusOr<ExitCode> Compress(CliContext* context, const CompressFlags& flags, bool detach) {
  v1::CompressRequest request;
  CYTOPRESS_ASSIGN_OR_RETURN(request, BuildCompressRequest(flags));
  Client* client;
  CYTOPRESS_ASSIGN_OR_RETURN(client, context->client());
  v1::Job job;
  CYTOPRESS_ASSIGN_OR_RETURN(job, client->Compress(request));
  if (!detach) {
    if (!context->json()) context->out() << "job " << job.id() << std::endl;
    return FollowJob(context, job.id());
  }
  if (context->json()) {
    PrintJson(ToJson(job), &context->out());
  } else {
    context->out() << "job " << job.id() << " is queued; follow it with: cytopress watch "
                   << job.id() << '\n';
  }
  return ExitCode::kOk;
}

void AddOverrides(CLI::App* command, CompressFlags* flags) {
  command->add_option("--architecture", flags->architecture,
                      "resnet18, resnet34, resnet50 (default) or resnet101");
  command->add_option("--stem", flags->stem, "first layer: imagenet (default), cifar or stride2")
      ->check(CLI::IsMember(StemsByName()));
  command->add_option("--epochs", flags->epochs, "of training from scratch");
  command->add_option("--finetune-epochs", flags->finetune_epochs,
                      "of fine-tuning after pruning; 0 = none");
  command->add_option("--sparsity", flags->sparsity,
                      "share of the prunable weights set to zero; 0 = no pruning");
  command->add_option("--weights", flags->weights, "how weights are stored")
      ->check(CLI::IsMember(WeightTypesByName()));
  command->add_option("--learning-rate", flags->learning_rate,
                      "peak rate of training (with --base: of fine-tuning)");
  command->add_option("--batch-size", flags->batch_size, "images in a training step");
  command->add_option("--seed", flags->seed, "of the whole recipe");
  command->add_option("--max-images", flags->max_images, "train on this many images; 0 = all");
  command->add_option("--device", flags->device, "cpu or cuda:N; default: any worker");
  command->add_option("--max-accuracy-drop", flags->max_accuracy_drop,
                      "fail when validation accuracy falls by more, e.g. 0.01");
}

}  // namespace

void AddCompressCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<CompressFlags>();
  auto detach = std::make_shared<bool>(false);
  auto watch = std::make_shared<bool>(false);
  CLI::App* command = app->add_subcommand("compress", "train, prune, fine-tune, quantize, publish");
  command->add_option("--name", flags->name, "publish the model under this name")->required();
  command
      ->add_option("--dataset", flags->dataset,
                   "on the worker's machine: a MedMNIST .npz, a folder of images by class, or "
                   "\"synthetic\"")
      ->envname("CYTOPRESS_DATASET")
      ->required();
  command->add_option("--class-names", flags->class_names, "in label order, separated by commas")
      ->delimiter(',');
  command->add_option("--base", flags->base,
                      "compress this model instead of training one: NAME[@V]");
  CLI::Option* recipe =
      command
          ->add_option("--recipe", flags->recipe,
                       absl::StrCat("one of ", absl::StrJoin(RecipeNames(), ", ")))
          ->capture_default_str();
  command->add_option("--recipe-file", flags->recipe_file, "a recipe of your own, as JSON")
      ->excludes(recipe);
  AddOverrides(command, flags.get());
  command->add_option("--request-id", flags->request_id,
                      "asking again with the same id answers with the same job");
  CLI::Option* watch_flag = command->add_flag("--watch", *watch, "follow the job (default)");
  command->add_flag("--detach", *detach, "only queue the job")->excludes(watch_flag);
  command->footer(kExamples);
  command->callback([context, flags, detach, watch] {
    context->set_command([context, flags, detach] { return Compress(context, *flags, *detach); });
  });
}

}  // namespace cytopress
