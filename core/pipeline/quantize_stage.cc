// From floating-point weights to those that are stored.
#include <google/protobuf/util/message_differencer.h>

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/artifact/weight_type.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/calibration.h"
#include "core/compression/dead_channels.h"
#include "core/compression/encoding.h"
#include "core/compression/gptq.h"
#include "core/compression/scoring.h"
#include "core/compression/weight_rounding.h"
#include "core/pipeline/network_steps.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

using google::protobuf::util::MessageDifferencer;

// As the ledger calls it.
absl::string_view NameOf(v1::RangeMethod method) {
  switch (method) {
    case v1::RANGE_METHOD_PERCENTILE:
      return "PERCENTILE";
    case v1::RANGE_METHOD_MSE:
      return "MSE";
    case v1::RANGE_METHOD_ASYMMETRIC:
      return "ASYMMETRIC";
    default:
      return "MIN_MAX";
  }
}

class QuantizeStage : public Stage {
 public:
  explicit QuantizeStage(const v1::QuantizeOptions& options) : options_(options) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_QUANTIZE; }
  std::string name() const override { return "quantize"; }
  double Cost(const PipelineState& state) const override {
    const double images = static_cast<double>(state.dataset.val.size());
    if (!IsInteger(options_.weights())) return images;
    return images +
           options_.calibration_images() *
               (options_.rounding() == v1::ROUNDING_GPTQ ? kCompensationCost : 2.0) +
           (options_.reestimate_batch_norm() ? static_cast<double>(kReestimationImages) : 0);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    state.unrounded = MayMend(state) ? state.network->Export() : TensorMap();
    return Quantize(options_, state, context);
  }

  // Better rounding, from the cheapest on.
  absl::StatusOr<std::optional<StageOutcome>> Mend(PipelineState& state, StageContext& context,
                                                   int attempt) override {
    if (!MayMend(state)) return std::nullopt;
    const std::vector<v1::QuantizeOptions> better = Better();
    if (attempt >= static_cast<int>(better.size())) return std::nullopt;
    CYTOPRESS_RETURN_IF_ERROR(state.network->Import(state.unrounded));
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, Quantize(better[attempt], state, context));
    return std::optional<StageOutcome>(std::move(outcome));
  }

  // What was pruned is zero in the stored integers too, unless zero was asked to be none of them.
  absl::Status CheckInvariant(const PipelineState& state) const override {
    if (WeightRange(options_) == v1::RANGE_METHOD_ASYMMETRIC) return absl::OkStatus();
    return CheckMasks(state.masks, *state.network);
  }

 private:
  // Of compensated rounding, against one forward pass of an image.
  static constexpr double kCompensationCost = 12;
  // The share of the stage's work after which all weights are rounded, those of the file are in the
  // network, and that is scored.
  static constexpr double kRounded = 0.4, kDecoded = 0.6, kScored = 0.8;

  bool MayMend(const PipelineState& state) const {
    return IsInteger(options_.weights()) && state.frozen_grids.empty();
  }

  // What rounds differently from what was asked for, if anything does.
  std::vector<v1::QuantizeOptions> Better() const {
    v1::QuantizeOptions first = options_;
    first.set_reestimate_batch_norm(true);
    first.set_per_tensor_scales(false);
    if (first.weight_range() == v1::RANGE_METHOD_ASYMMETRIC) {
      first.set_weight_range(v1::RANGE_METHOD_MIN_MAX);
    }
    v1::QuantizeOptions second = first;
    second.set_weight_range(v1::RANGE_METHOD_MSE);
    second.set_rounding(v1::ROUNDING_GPTQ);
    std::vector<v1::QuantizeOptions> better;
    const v1::QuantizeOptions* before = &options_;
    for (const v1::QuantizeOptions* next : {&first, &second}) {
      if (MessageDifferencer::Equals(*before, *next)) continue;
      better.push_back(*next);
      before = next;
    }
    return better;
  }

  // The one that weights of this type get.
  static v1::RangeMethod WeightRange(const v1::QuantizeOptions& options) {
    const bool is_asymmetric = options.weight_range() == v1::RANGE_METHOD_ASYMMETRIC;
    return is_asymmetric && options.weights() != v1::WEIGHT_TYPE_INT4 ? v1::RANGE_METHOD_MIN_MAX
                                                                      : options.weight_range();
  }

  static absl::StatusOr<IntegerWeights> Round(const v1::QuantizeOptions& options,
                                              PipelineState& state, StageContext& context) {
    const uint64_t seed = state.spec.recipe().seed();
    if (!state.frozen_grids.empty()) {
      return RoundToNearest(*state.network, options, state.frozen_grids);
    }
    const WeightGrids grids = FindWeightGrids(*state.network, options);
    return options.rounding() == v1::ROUNDING_GPTQ
               ? RoundWithGptq(*state.network, state.dataset, options, grids, seed,
                               [&](double done) { return context.progress(kRounded * done, {}); })
               : RoundToNearest(*state.network, options, grids);
  }

  // Rounding makes zeros, and those leave channels unread.
  static void RemoveUnread(const Network& network, IntegerWeights* integers) {
    WeightFlags kept, allowed;
    for (auto& [name, stored] : *integers) {
      if (stored.shape.size() != 4) continue;
      kept[name] = torch::from_blob(stored.integers.data(), stored.shape, torch::kInt8)
                       .ne(0)
                       .to(torch::kFloat32);
      allowed[name] = torch::ones_like(kept.at(name));
    }
    if (!ForbidUnread(network, kept, &allowed)) return;
    for (const auto& [name, flags] : allowed) {
      StoredTensor& stored = integers->at(name);
      torch::from_blob(stored.integers.data(), stored.shape, torch::kInt8)
          .mul_(flags.to(torch::kInt8));
    }
  }

  // Which layers have which weights, where options.layer_weights() mixes them.
  static std::string MixOf(const v1::QuantizeOptions& options, const Network& network) {
    if (!IsInteger(options.weights()) || options.layer_weights().empty()) return "";
    int layers = 0, int4_layers = 0;
    for (const Layer& layer : network.layers) {
      if (layer.weight_count() == 0) continue;
      const IntegerFormat format = FormatOf(network, layer, options);
      ++layers;
      int4_layers += format.encoding == Encoding::kInt4 || format.asymmetric ? 1 : 0;
    }
    if (int4_layers == layers) return "";
    return absl::StrCat(int4_layers, " of ", layers, " layers INT4, the others INT8");
  }

  static std::string Describe(const v1::QuantizeOptions& options, const PipelineState& state) {
    const std::string mix = MixOf(options, state.network->network());
    std::string text = absl::StrCat(
        mix.empty() ? absl::AsciiStrToUpper(WeightTypeName(options.weights())) + " " : mix + ": ",
        "weights only, activations still floating-point");
    if (!IsInteger(options.weights())) return text;
    if (!state.frozen_grids.empty()) return text + ", scales of the training";
    if (options.weights() == v1::WEIGHT_TYPE_INT4 && options.group_size() > 0) {
      absl::StrAppend(&text, ", groups of ", options.group_size());
    }
    if (options.per_tensor_scales())
      absl::StrAppend(&text, ", one scale a tensor with its batch norm");
    absl::StrAppend(
        &text, ", ranges by ", NameOf(WeightRange(options)), ", rounded ",
        options.rounding() == v1::ROUNDING_GPTQ ? "with compensated errors" : "to the nearest");
    if (options.reestimate_batch_norm()) absl::StrAppend(&text, ", ", kBatchNormRemeasured);
    return text;
  }

  static absl::StatusOr<StageOutcome> Quantize(const v1::QuantizeOptions& options,
                                               PipelineState& state, StageContext& context) {
    TorchNetwork& network = *state.network;
    state.artifact = DescribeArtifact(state, options.weights());
    if (IsInteger(options.weights())) {
      CYTOPRESS_ASSIGN_OR_RETURN(IntegerWeights integers, Round(options, state, context));
      RemoveUnread(network.network(), &integers);
      AssignIntegers(integers, network);
      CYTOPRESS_RETURN_IF_ERROR(context.progress(kRounded, {}));
      if (options.reestimate_batch_norm()) {
        RemeasureBatchNorm(state);
      }
      CYTOPRESS_ASSIGN_OR_RETURN(state.artifact.tensors,
                                 EncodeIntegers(network.network(), network.Export(), integers));
    } else {
      state.artifact.tensors = EncodeFloats(network.Export(), options.weights());
    }
    CYTOPRESS_RETURN_IF_ERROR(network.Import(DecodeTensors(state.artifact.tensors)));
    CYTOPRESS_RETURN_IF_ERROR(context.progress(kDecoded, {}));
    StageOutcome outcome;
    CYTOPRESS_ASSIGN_OR_RETURN(const Evaluation evaluation,
                               EvaluateNetwork(network, state.dataset, state.dataset.val,
                                               state.bfloat16, {}, [&](double done) {
                                                 return context.progress(
                                                     kDecoded + (kScored - kDecoded) * done, {});
                                               }));
    outcome.score = ScoreOf(evaluation);
    if (IsInteger(options.weights())) {
      state.artifact.activation_ranges =
          CalibrateActivations(network, state.dataset, options, state.spec.recipe().seed());
    }
    outcome.note = Describe(options, state);
    return outcome;
  }

  const v1::QuantizeOptions options_;
};

}  // namespace

std::unique_ptr<Stage> MakeQuantizeStage(const v1::QuantizeOptions& options) {
  return std::make_unique<QuantizeStage>(options);
}

}  // namespace cytopress
