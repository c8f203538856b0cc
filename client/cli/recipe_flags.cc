#include "client/cli/recipe_flags.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/cli/checks.h"
#include "client/cli/completion.h"
#include "client/names.h"
#include "core/jobs/recipes.h"
#include "core/network/network.h"

namespace cytopress {
namespace {

constexpr char kTraining[] = "Training";
constexpr char kPruning[] = "Pruning and fine-tuning";
constexpr char kQuantization[] = "Quantization";
constexpr char kGuard[] = "Collapse guard";
constexpr char kGoal[] = "Goal (searches for sparsity and bits, layer by layer)";

// "--x" and "--no-x"; neither leaves what the recipe says.
void AddSwitch(CLI::App* command, const std::string& name, std::optional<bool>* value,
               const std::string& description, const char* group) {
  command
      ->add_flag_function(
          absl::StrCat("--", name, ",!--no-", name), [value](int64_t count) { *value = count > 0; },
          description)
      ->group(group);
}

// A unit's name and how much it is.
using Units = std::vector<std::pair<std::string, double>>;

// CLI11's own AsNumberWithUnit keeps six digits: "1.5MiB" would be 1572860 bytes.
CLI::Validator NumberWithUnit(const Units& units) {
  return CLI::Validator(
      [units](std::string& text) -> std::string {
        char* end = nullptr;
        const double number = std::strtod(text.c_str(), &end);
        const absl::string_view unit = absl::StripAsciiWhitespace(end);
        const auto factor = std::find_if(units.begin(), units.end(), [unit](const auto& known) {
          return absl::EqualsIgnoreCase(known.first, unit);
        });
        if (!std::isfinite(number) || number <= 0 || end == text.c_str() ||
            (!unit.empty() && factor == units.end())) {
          return absl::StrCat("'", text, "' is not a number above 0, alone or with one of: ",
                              absl::StrJoin(units, ", ", [](std::string* out, const auto& entry) {
                                *out += entry.first;
                              }));
        }
        text = absl::StrFormat("%.17g", unit.empty() ? number : number * factor->second);
        return "";
      },
      "NUMBER[UNIT]");
}

// `choices`: as OneOf takes them.
template <typename Choices>
void AddChoice(CLI::App* command, const std::string& name, std::string* value,
               const Choices& choices, const std::string& description, const char* group) {
  command->add_option(name, *value, description)->transform(OneOf(choices))->group(group);
}

void AddSource(CLI::App* command, CompressFlags* flags) {
  command
      ->add_option("--dataset", flags->dataset,
                   "on the worker's machine: a MedMNIST .npz, a folder of images by class, or "
                   "\"synthetic\"")
      ->type_name(kPath)
      ->envname("CYTOPRESS_DATASET")
      ->required();
  command->add_option("--class-names", flags->class_names, "in label order, separated by commas")
      ->delimiter(',');
  command->add_option("--base", flags->base,
                      "compress this model instead of training one: NAME[@V]");
  CLI::Option* recipe =
      command->add_option("--recipe", flags->recipe, "a recipe by its name; default: lossless")
          ->transform(OneOf(RecipeNames()));
  command
      ->add_option("--recipe-file", flags->recipe_file,
                   "a recipe of your own, as JSON; the flags below go over it")
      ->type_name(kPath)
      ->excludes(recipe);
  command
      ->add_option(
          "--seed", flags->seed,
          "of the recipe: first weights, order, augmentation, calibration; not of the data")
      ->check(AtLeast(0));
  command
      ->add_option("--dataset-seed", flags->dataset_seed,
                   "of the split of a folder and of synthetic cells (0), as `datasets show --seed`")
      ->check(AtLeast(0));
  command->add_option("--device", flags->device, "cpu or cuda:N; default: any worker");
}

void AddTraining(CLI::App* command, CompressFlags* flags) {
  AddChoice(command, "--architecture", &flags->architecture, ArchitectureNames(),
            "default: resnet50. resnet20 has 0.27 million weights", kTraining);
  AddChoice(command, "--stem", &flags->stem, StemsByName(),
            "first layer: imagenet (default), cifar or stride2; with --base: go on under this one "
            "instead of the base's own",
            kTraining);
  command
      ->add_option(
          "--image-size", flags->image_size,
          "pixels a side that a folder's images are scaled to, 8 to 1024; default: 28, or as "
          "--base")
      ->check(AtLeast(1))
      ->group(kTraining);
  command->add_option("--epochs", flags->epochs, "of training from scratch")
      ->check(Between(1, 1000))
      ->group(kTraining);
  command
      ->add_option("--learning-rate", flags->learning_rate,
                   "peak rate of training (with --base: of fine-tuning)")
      ->check(Positive())
      ->group(kTraining);
  command->add_option("--batch-size", flags->batch_size, "images in a training step")
      ->check(Between(1, 4096))
      ->group(kTraining);
  command->add_option("--max-images", flags->max_images, "train on this many images; 0 = all")
      ->group(kTraining);
  command
      ->add_option("--ema-decay", flags->ema_decay,
                   "keep the moving average of the weights, e.g. 0.999, below 1; 0 = the weights")
      ->group(kTraining);
}

void AddPruning(CLI::App* command, CompressFlags* flags) {
  if (!flags->sweeps) {
    command
        ->add_option("--sparsity", flags->sparsity,
                     "share of the prunable weights set to zero; 0 = no pruning; default: as the "
                     "recipe")
        ->check(Share())
        ->group(kPruning);
  }
  AddChoice(
      command, "--prune-method", &flags->prune_method, PruneMethodsByName(),
      "global: the smallest weights of all layers; fisher: those that the loss depends on "
      "least; cost-aware: the same, weighed against bytes and multiplications, for speed; layer: "
      "the same share of each layer",
      kPruning);
  // 2:4 has one sparsity only, and a sweep has several.
  if (flags->sweeps) {
    AddChoice(command, "--pattern", &flags->pattern, SweepPatternsByName(),
              "block4: 1x4 blocks of input channels, the fast shape", kPruning);
  } else {
    AddChoice(command, "--pattern", &flags->pattern, PrunePatternsByName(),
              "block4: 1x4 blocks of input channels, the fast shape; 2:4: two of four", kPruning);
  }
  command
      ->add_option("--gradual", flags->gradual,
                   "prune over this share of fine-tuning, e.g. 0.4, at most 1; 0 = at once")
      ->group(kPruning);
  command
      ->add_option("--finetune-epochs", flags->finetune_epochs,
                   "of fine-tuning after pruning, at most 1000; 0 = none")
      ->group(kPruning);
  command
      ->add_option("--finetune-learning-rate", flags->finetune_learning_rate,
                   "peak rate of fine-tuning")
      ->check(Positive())
      ->group(kPruning);
  AddSwitch(command, "freeze-batch-norm", &flags->freeze_batch_norm,
            "leave batch norms as pruning found them while fine-tuning", kPruning);
  command
      ->add_option("--distillation", flags->distillation,
                   "share of the loss from the dense model's answers, 0 to 1")
      ->group(kPruning);
}

void AddQuantization(CLI::App* command, CompressFlags* flags) {
  if (!flags->sweeps) {
    AddChoice(command, "--weights", &flags->weights, WeightTypesByName(),
              "how weights are stored; default: as the recipe", kQuantization);
  }
  AddChoice(command, "--rounding", &flags->rounding, RoundingsByName(),
            "gptq: later weights make up for the rounding of earlier ones", kQuantization);
  AddChoice(
      command, "--weight-range", &flags->weight_range, RangeMethodsByName(),
      "what the integers of the weights cover; asymmetric: as the paper recipe has it for int4, "
      "zero need not be among them",
      kQuantization);
  command
      ->add_option("--weight-percentile", flags->weight_percentile,
                   "of their magnitudes that --weight-range percentile covers (99.9), at most 100")
      ->check(Positive())
      ->group(kQuantization);
  AddChoice(command, "--activation-range", &flags->activation_range, ActivationRangesByName(),
            "what those of the layers' outputs cover", kQuantization);
  command
      ->add_option("--activation-percentile", flags->activation_percentile,
                   "of them that --activation-range percentile, the default, covers (99.99), at "
                   "most 100")
      ->check(Positive())
      ->group(kQuantization);
  command
      ->add_option("--calibration-images", flags->calibration_images,
                   "training images for ranges and rounding")
      ->check(Between(1, 1000000))
      ->group(kQuantization);
  command
      ->add_option("--group-size", flags->group_size,
                   "int4: so many weights share a scale, e.g. 64, 8 to 4096; 0 = a whole channel")
      ->group(kQuantization);
  AddSwitch(command, "per-tensor-scales", &flags->per_tensor_scales,
            "one scale a weight tensor, not one an output channel", kQuantization);
  command
      ->add_option("--aware-epochs", flags->aware_epochs,
                   "train with rounded weights, at most 1000; 0 = do not")
      ->group(kQuantization);
  AddSwitch(command, "reestimate-batch-norm", &flags->reestimate_batch_norm,
            "measure batch-norm statistics again after fine-tuning and rounding", kQuantization);
  AddSwitch(command, "temperature-scaling", &flags->temperature_scaling,
            "calibrate confidences on the validation split (temperature scaling); answers stay",
            kQuantization);
  AddSwitch(command, "reduced-range", &flags->reduced_range,
            "store INT8 weights with 7 bits: faster on processors without VNNI", kQuantization);
}

void AddGuard(CLI::App* command, CompressFlags* flags) {
  command
      ->add_option("--max-accuracy-drop", flags->max_accuracy_drop,
                   absl::StrCat("largest tolerated loss of validation accuracy, e.g. 0.01; 0 = not "
                                "checked",
                                flags->sweeps ? "" : ". Of a search: 0.005 by default, above 0"))
      ->group(kGuard);
  AddChoice(command, "--on-collapse", &flags->on_collapse, CollapsePoliciesByName(),
            "mend: remedies, then fail; report: publish and say so in the ledger", kGuard);
}

}  // namespace

void AddRecipeFlags(CLI::App* command, CompressFlags* flags) {
  AddSource(command, flags);
  AddTraining(command, flags);
  AddPruning(command, flags);
  AddQuantization(command, flags);
  AddGuard(command, flags);
}

void AddGoalFlags(CLI::App* command, CompressFlags* flags) {
  command
      ->add_option(
          "--max-bytes", flags->max_bytes,
          "largest file, e.g. 2MB or 2MiB; each try that keeps to it and to --max-accuracy-drop "
          "is published, at the end the smallest")
      ->transform(NumberWithUnit({{"B", 1},
                                  {"kB", 1e3},
                                  {"MB", 1e6},
                                  {"GB", 1e9},
                                  {"KiB", 1024},
                                  {"MiB", 1024 * 1024},
                                  {"GiB", 1024 * 1024 * 1024}}))
      ->check(Bytes())
      ->group(kGoal);
  command
      ->add_option("--max-latency-ms", flags->max_latency_ms,
                   "for one image on one thread of the worker's processor")
      ->check(Positive())
      ->group(kGoal);
  command
      ->add_option("--time-budget", flags->time_budget_seconds,
                   "of the search, e.g. 2h, 30min: no try begins that would end later, but for the "
                   "first, which trains for fewer epochs if it has to. Training the dense model is "
                   "not counted")
      ->transform(NumberWithUnit({{"s", 1}, {"min", 60}, {"h", 3600}}))
      ->group(kGoal);
  command->add_option("--max-tries", flags->max_tries, "of the search (6)")
      ->check(Between(1, 50))
      ->group(kGoal);
}

}  // namespace cytopress
