#include "core/compression/trainer.h"

#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/compression/precision.h"
#include "core/compression/scoring.h"

namespace cytopress {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kPruningsPerEpoch = 12;
// Of the last steps, their gradients have a say in the Fisher information for about so many.
constexpr double kFisherSteps = 50;
// Steps between two looks at the loss on a GPU: each makes it wait.
constexpr int64_t kLossInterval = 8;
// For a GPU that takes a few milliseconds for a batch that a thread augments in ten.
constexpr int kBatchesAhead = 8;

// All that is trained: without the batch norms where those are frozen.
std::vector<std::pair<std::string, torch::Tensor>> TrainedParameters(
    const TorchNetwork& network, const v1::TrainOptions& options) {
  auto parameters = network.Parameters();
  if (!options.freeze_batch_norm()) return parameters;
  std::set<std::string> frozen;
  for (const Layer& layer : network.network().layers) {
    frozen.insert({layer.batch_norm + ".weight", layer.batch_norm + ".bias"});
  }
  parameters.erase(
      std::remove_if(parameters.begin(), parameters.end(),
                     [&](const auto& parameter) { return frozen.count(parameter.first) != 0; }),
      parameters.end());
  return parameters;
}

bool Better(const Evaluation& a, const Evaluation& b) {
  return a.accuracy != b.accuracy ? a.accuracy > b.accuracy : a.auc > b.auc;
}

}  // namespace

double LearningRateFactor(int64_t step, int64_t steps, double warmup_fraction) {
  const double position = (static_cast<double>(step) + 1) / (static_cast<double>(steps) + 1);
  if (position <= warmup_fraction) return position / warmup_fraction;
  const double rest = (position - warmup_fraction) / (1 - warmup_fraction);
  return 0.5 * (1 + std::cos(kPi * std::min(rest, 1.0)));
}

Trainer::Trainer(TorchNetwork& network, const Dataset& dataset, const v1::TrainOptions& options,
                 TrainerSetup setup)
    : network_(network),
      dataset_(dataset),
      options_(options),
      setup_(std::move(setup)),
      masks_(setup_.masks != nullptr ? *setup_.masks : no_masks_),
      augmentation_(Augmentation::FromProto(options)),
      loader_(dataset, dataset.train, options.batch_size(), setup_.seed, options.max_images(),
              network.device(), network.device().is_cuda() ? kBatchesAhead : 0),
      optimizer_(TrainedParameters(network, options),
                 {options.momentum(), std::max(options.weight_decay(), 0.0)}) {
  if (options_.ema_decay() > 0) {
    for (const auto& [name, tensor] : network_.tensors()) {
      average_[name] = tensor.detach().clone();
    }
  }
}

absl::Status Trainer::Run(const Hooks& hooks) {
  CYTOPRESS_RETURN_IF_ERROR(CheckBatchNorm());
  CYTOPRESS_ASSIGN_OR_RETURN(bfloat16_, UseBfloat16(options_.precision(), network_.device()));
  CYTOPRESS_RETURN_IF_ERROR(PrepareFisher(hooks));
  while (epoch_ < options_.epochs()) {
    CYTOPRESS_RETURN_IF_ERROR(RunEpoch(hooks));
    ++epoch_;
    CYTOPRESS_RETURN_IF_ERROR(Validate(hooks));
    if (epoch_ < options_.epochs()) CYTOPRESS_RETURN_IF_ERROR(hooks.on_epoch());
  }
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : network_.tensors()) {
    torch::Tensor target = tensor;
    target.copy_(best_tensors_.at(name));
  }
  return CheckMasks(masks_, network_);
}

absl::Status Trainer::CheckBatchNorm() const {
  const int64_t images = std::min<int64_t>(options_.batch_size(), loader_.images());
  if (options_.freeze_batch_norm() || images > 1) return absl::OkStatus();
  for (const Layer& layer : network_.network().layers) {
    if (layer.op != Op::kConv || layer.out_height * layer.out_width > 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(options_.batch_size() > 1 ? "max_images" : "batch_size",
                     ": a training step has one image, "
                     "and the layer ",
                     layer.name,
                     " one position, so that a batch norm has no variance; give "
                     "at least 2, or freeze_batch_norm after a first training"));
  }
  return absl::OkStatus();
}

absl::Status Trainer::RunEpoch(const Hooks& hooks) {
  loader_.StartEpoch(static_cast<int>(epoch_));
  StepReport report;
  report.epoch = static_cast<int>(epoch_) + 1;
  report.epochs = options_.epochs();
  report.steps = loader_.steps();
  report.validation_accuracy = last_accuracy_;
  const absl::Duration start = RealClock()->Steady();
  torch::Tensor loss_sum =
      torch::zeros({}, torch::TensorOptions(network_.device()).dtype(torch::kFloat64));
  int64_t images = 0;
  for (int64_t step = 0; step < report.steps; ++step) {
    report.learning_rate = LearningRate(step);
    PruneFurther(epoch_ * report.steps + step);
    Batch batch = loader_.TrainBatch(step, augmentation_);
    if (options_.mixup_alpha() > 0) {
      const uint64_t number = static_cast<uint64_t>(epoch_ * report.steps + step);
      MixUp(options_.mixup_alpha(), (setup_.seed << 32) + number, batch);
    }
    loss_sum += Step(batch, report.learning_rate);
    UpdateAverage(epoch_ * report.steps + step);
    images += batch.labels.size(0);
    report.step = step + 1;
    if (!network_.device().is_cuda() || step % kLossInterval == 0 || report.step == report.steps) {
      report.loss = loss_sum.item<double>() / static_cast<double>(report.step);
    }
    const double seconds = absl::ToDoubleSeconds(RealClock()->Steady() - start);
    report.images_per_second = static_cast<double>(images) / seconds;
    if (!std::isfinite(report.loss)) {
      return Diverged(absl::StrCat("loss ", report.loss), report.epoch);
    }
    CYTOPRESS_RETURN_IF_ERROR(hooks.on_step(report));
  }
  train_seconds_ += absl::ToDoubleSeconds(RealClock()->Steady() - start);
  trained_images_ += images;
  return absl::OkStatus();
}

torch::Tensor Trainer::Loss(const Batch& batch) const {
  AutocastScope autocast(network_.device(), bfloat16_);
  const auto mode =
      options_.freeze_batch_norm() ? TorchNetwork::Mode::kEvaluate : TorchNetwork::Mode::kTrain;
  const torch::Tensor logits =
      network_.Forward(batch.images, mode, setup_.hooks).to(torch::kFloat32);
  const auto loss_of = [&](const torch::Tensor& labels) {
    return at::cross_entropy_loss(logits, labels, /*weight=*/{}, at::Reduction::Mean,
                                  /*ignore_index=*/-100, options_.label_smoothing());
  };
  torch::Tensor labels_loss = loss_of(batch.labels);
  if (batch.partner_labels.defined()) {
    labels_loss = batch.share * labels_loss + (1 - batch.share) * loss_of(batch.partner_labels);
  }
  if (!setup_.teacher_logits.defined() || options_.distillation() <= 0) return labels_loss;
  const double temperature = options_.distillation_temperature();
  const torch::Tensor teacher =
      ToDevice(setup_.teacher_logits.index_select(0, batch.images_of_split), network_.device());
  const torch::Tensor soft_loss =
      -(at::softmax(teacher / temperature, 1) * at::log_softmax(logits / temperature, 1))
           .sum(1)
           .mean();
  // The square keeps the gradients' size independent of the temperature.
  return (1 - options_.distillation()) * labels_loss +
         options_.distillation() * temperature * temperature * soft_loss;
}

torch::Tensor Trainer::Step(const Batch& batch, double learning_rate) {
  const torch::Tensor loss = Loss(batch);
  optimizer_.ZeroGradients();
  loss.backward();
  if (!fisher_.empty()) {
    FollowFisher(network_, batch.labels.size(0), 1 - 1 / kFisherSteps, fisher_);
  }
  optimizer_.Step(learning_rate);
  ApplyMasks(masks_, network_);
#ifndef NDEBUG
  TORCH_CHECK(CheckMasks(masks_, network_).ok(), "a training step broke the pruning mask");
#endif
  return loss.detach();
}

int64_t Trainer::gradual_steps() const {
  if (!setup_.gradual) return 0;
  const int64_t steps = options_.epochs() * loader_.steps();
  // The last step trains at the full sparsity, even if the schedule takes all of them.
  return std::min(
      static_cast<int64_t>(setup_.gradual->gradual_fraction() * static_cast<double>(steps)),
      steps - 1);
}

absl::Status Trainer::PrepareFisher(const Hooks& hooks) {
  if (!setup_.gradual || !UsesFisher(*setup_.gradual)) return absl::OkStatus();
  const bool prunes_on = epoch_ * loader_.steps() <= gradual_steps();
  if (!prunes_on || !fisher_.empty()) return absl::OkStatus();
  CYTOPRESS_ASSIGN_OR_RETURN(
      fisher_, MeasureFisher(network_, dataset_, kFisherImages, setup_.seed, [&](double) {
        return hooks.on_validation ? hooks.on_validation() : absl::OkStatus();
      }));
  return absl::OkStatus();
}

// From a sparsity of none, whatever the network had: what an earlier sparsity of a sweep removed
// may come back.
void Trainer::PruneFurther(int64_t step) {
  if (!setup_.gradual || step > gradual_steps()) return;
  // Sorting all weights costs as much as a small step; a dozen times an epoch is smooth enough.
  const int64_t interval = std::max<int64_t>(1, loader_.steps() / kPruningsPerEpoch);
  if (step % interval != 0 && step != gradual_steps()) return;
  const double sparsity = CubicSparsity(setup_.gradual->sparsity(), step, gradual_steps());
  masks_ = UsesFisher(*setup_.gradual) ? FisherMasks(network_, *setup_.gradual, sparsity, fisher_)
                                       : MagnitudeMasks(network_, *setup_.gradual, sparsity);
  ApplyMasks(masks_, network_);
  if (step == gradual_steps()) fisher_.clear();
}

void Trainer::UpdateAverage(int64_t step) {
  if (average_.empty()) return;
  torch::NoGradGuard no_grad;
  // Short at first, so that the average does not remember the untrained network.
  const double steps = static_cast<double>(step + 1);
  const double decay = std::min(options_.ema_decay(), steps / (steps + 10));
  std::vector<torch::Tensor> averages, values;
  for (const auto& [name, average] : average_) {
    averages.push_back(average);
    values.push_back(network_.tensors().at(name).detach());
  }
#if TORCH_VERSION_MAJOR >= 2
  at::_foreach_lerp_(averages, values, 1 - decay);
#else
  for (size_t i = 0; i < averages.size(); ++i) averages[i].lerp_(values[i], 1 - decay);
#endif
}

double Trainer::LearningRate(int64_t step_in_epoch) const {
  const int64_t steps = loader_.steps();
  return options_.learning_rate() * LearningRateFactor(epoch_ * steps + step_in_epoch,
                                                       options_.epochs() * steps,
                                                       options_.warmup_fraction());
}

absl::Status Trainer::Diverged(absl::string_view finding, int64_t epoch) const {
  return absl::FailedPreconditionError(absl::StrCat("training diverged (", finding, ") in epoch ",
                                                    epoch, "; lower the learning rate, which is ",
                                                    options_.learning_rate(), " at its peak"));
}

absl::Status Trainer::Validate(const Hooks& hooks) {
  // The average takes the network's place while it is measured.
  TensorTable trained;
  if (!average_.empty()) {
    PutAll("", network_.tensors(), trained);
    for (auto& [name, tensor] : trained) tensor = tensor.detach().clone();
    CYTOPRESS_RETURN_IF_ERROR(GetAll("", average_, network_.tensors()));
    ApplyMasks(masks_, network_);
  }
  CYTOPRESS_ASSIGN_OR_RETURN(
      const torch::Tensor logits,
      LogitsUnlessStopped(network_, dataset_, dataset_.val, bfloat16_, setup_.hooks, [&](double) {
        return hooks.on_validation ? hooks.on_validation() : absl::OkStatus();
      }));
  // The loss does not tell what the last step of an epoch did.
  if (!at::isfinite(logits).all().item<bool>()) {
    return Diverged("answers that are not numbers", epoch_);
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const Evaluation evaluation, EvaluateLogits(logits, dataset_.val));
  last_accuracy_ = evaluation.accuracy;
  // A network that still has weights to lose does not count.
  const bool pruned = epoch_ * loader_.steps() > gradual_steps() || !setup_.gradual;
  if (pruned && (best_tensors_.empty() || Better(evaluation, best_))) {
    best_ = evaluation;
    for (const auto& [name, tensor] : network_.tensors()) {
      best_tensors_[name] = tensor.detach().clone();
    }
  }
  return trained.empty() ? absl::OkStatus() : GetAll("", trained, network_.tensors());
}

double Trainer::images_per_second() const {
  return train_seconds_ > 0 ? static_cast<double>(trained_images_) / train_seconds_ : 0;
}

void Trainer::Save(TensorTable& table) const {
  table["epoch"] = torch::tensor(epoch_);
  table["accuracies"] = torch::tensor({last_accuracy_, best_.accuracy, best_.auc}, torch::kFloat64);
  table["confusion"] = torch::tensor(best_.confusion, torch::kInt64);
  PutAll("now/", network_.tensors(), table);
  PutAll("best/", best_tensors_, table);
  PutAll("momentum/", optimizer_.momentum(), table);
  PutAll("average/", average_, table);
  PutAll("fisher/", fisher_, table);
}

absl::Status Trainer::Load(const TensorTable& table) {
  for (const char* const key : {"epoch", "accuracies", "confusion"}) {
    if (table.count(key) != 0) continue;
    return absl::DataLossError(absl::StrCat("the checkpoint lacks ", key));
  }
  CYTOPRESS_RETURN_IF_ERROR(GetAll("now/", table, network_.tensors()));
  CYTOPRESS_RETURN_IF_ERROR(GetAll("momentum/", table, optimizer_.momentum()));
  CYTOPRESS_RETURN_IF_ERROR(GetAll("average/", table, average_));
  if (table.count("best/fc.weight") != 0) {  // none yet while gradual pruning goes on
    for (const auto& [name, tensor] : network_.tensors()) {
      best_tensors_[name] = torch::empty_like(tensor);
    }
    CYTOPRESS_RETURN_IF_ERROR(GetAll("best/", table, best_tensors_));
  }
  if (table.count("fisher/conv1.weight") != 0) {
    for (const auto& [name, parameter] : network_.Parameters()) {
      if (parameter.dim() == 4) fisher_[name] = torch::empty_like(parameter.detach());
    }
    CYTOPRESS_RETURN_IF_ERROR(GetAll("fisher/", table, fisher_));
  }
  epoch_ = table.at("epoch").item<int64_t>();
  const torch::Tensor accuracies = table.at("accuracies");
  last_accuracy_ = accuracies[0].item<double>();
  best_.accuracy = accuracies[1].item<double>();
  best_.auc = accuracies[2].item<double>();
  const torch::Tensor confusion = table.at("confusion").contiguous();
  best_.confusion.assign(confusion.data_ptr<int64_t>(),
                         confusion.data_ptr<int64_t>() + confusion.numel());
  return absl::OkStatus();
}

}  // namespace cytopress
