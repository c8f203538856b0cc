#include "client/cli/reproduction.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/report/verdict.h"
#include "core/evaluation/evaluation.h"
#include "core/jobs/model_names.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr size_t kNamedTensors = 3;

bool IsDenseParent(const v1::Model& model) {
  return model.name() == ParentModelName(model.provenance().spec().model_name());
}

// The number of a try of a goal's search, from 1; 0 for other models.
int TryNumber(const v1::Model& model) {
  const v1::JobSpec& spec = model.provenance().spec();
  return spec.has_goal() ? GoalTryNumber(model.name(), spec.model_name()).value_or(0) : 0;
}

// Whether measured times had a say in what became of the model: they differ from run to run.
bool IsDecidedByTimes(const v1::Model& model) {
  const v1::Goal& goal = model.provenance().spec().goal();
  if (IsDenseParent(model)) return false;
  return goal.max_latency_ms() > 0 || (goal.time_budget_seconds() > 0 && TryNumber(model) == 0);
}

// Sparsities are worked off in ascending order, each from the one before: those above do not
// matter, and with from_dense none of the others.
absl::Status KeepOneCell(const v1::Model& model, v1::JobSpec* spec, double* sparsity) {
  std::vector<double> kept;
  bool found = false;
  for (const double candidate : spec->sweep().sparsities()) {
    if (SweepModelName(spec->model_name(), candidate, model.weights()) != model.name()) continue;
    *sparsity = candidate;
    found = true;
  }
  if (!found) {
    return absl::FailedPreconditionError(
        absl::StrCat(model.name(), " is none of the models of the sweep in its receipt"));
  }
  for (const double candidate : spec->sweep().sparsities()) {
    const bool needed = candidate == *sparsity ||
                        (!spec->sweep().from_dense() && candidate > 0 && candidate < *sparsity);
    if (needed) kept.push_back(candidate);
  }
  v1::Sweep* sweep = spec->mutable_sweep();
  sweep->clear_sparsities();
  for (const double candidate : kept) sweep->add_sparsities(candidate);
  sweep->clear_weights();
  sweep->add_weights(model.weights());
  return absl::OkStatus();
}

bool SameTensor(const StoredTensor& a, const StoredTensor& b) {
  return a.encoding == b.encoding && a.shape == b.shape && a.floats == b.floats &&
         a.integers == b.integers && a.scales == b.scales && a.group_size == b.group_size &&
         a.multipliers == b.multipliers;
}

class Comparer {
 public:
  Comparer(const StoredModel& original, const StoredModel& reproduced)
      : original_(original), reproduced_(reproduced) {}

  ComparedModels Compare(double tolerance) {
    CompareEnvironment();
    CompareTensors();
    CompareScores();
    Judge(tolerance);
    return std::move(result_);
  }

 private:
  bool Add(const std::string& name, const std::string& original, const std::string& reproduced) {
    const bool same = original == reproduced;
    result_.items.push_back({name, original, reproduced, same});
    return same;
  }

  void CompareEnvironment() {
    const v1::Provenance& a = original_.model.provenance();
    const v1::Provenance& b = reproduced_.model.provenance();
    same_data_ = Add("data set", a.dataset_hash().substr(0, 16), b.dataset_hash().substr(0, 16)) &&
                 a.dataset_hash() == b.dataset_hash();
    bool same = Add("processor", a.processor(), b.processor());
    same &= Add("device", a.device(), b.device());
    same &= Add("threads", absl::StrCat(a.threads()), absl::StrCat(b.threads()));
    std::set<std::string> libraries;
    for (const auto& [library, version] : a.versions()) libraries.insert(library);
    for (const auto& [library, version] : b.versions()) libraries.insert(library);
    for (const std::string& library : libraries) {
      const auto version = [&library](const v1::Provenance& provenance) {
        const auto found = provenance.versions().find(library);
        return found == provenance.versions().end() ? std::string("-") : found->second;
      };
      same &= Add(library, version(a), version(b));
    }
    on_gpu_ = absl::StartsWith(a.device(), "cuda");
    result_.same_environment = same && !on_gpu_;
  }

  void CompareTensors() {
    const auto& a = original_.artifact.tensors;
    const auto& b = reproduced_.artifact.tensors;
    std::set<std::string> names;
    for (const auto& [name, tensor] : a) names.insert(name);
    for (const auto& [name, tensor] : b) names.insert(name);
    std::vector<std::string> differing;
    for (const std::string& name : names) {
      const auto in_a = a.find(name), in_b = b.find(name);
      if (in_a == a.end() || in_b == b.end() || !SameTensor(in_a->second, in_b->second)) {
        differing.push_back(name);
      }
    }
    std::string same_text =
        absl::StrCat(names.size() - differing.size(), " of ", names.size(), " the same");
    for (size_t i = 0; i < std::min(differing.size(), kNamedTensors); ++i) {
      absl::StrAppend(&same_text, i == 0 ? "; not: " : ", ", differing[i]);
    }
    if (differing.size() > kNamedTensors) same_text += ", ...";
    same_bits_ = differing.empty();
    result_.items.push_back({"tensors", absl::StrCat(a.size()), same_text, same_bits_});
    const auto& ranges_a = original_.artifact.activation_ranges;
    const auto& ranges_b = reproduced_.artifact.activation_ranges;
    result_.items.push_back({"activation ranges", absl::StrCat(ranges_a.size()),
                             ranges_a == ranges_b ? "the same" : "differ", ranges_a == ranges_b});
    same_bits_ &= ranges_a == ranges_b;
  }

  void CompareScores() {
    for (const char* split : {"val", "test"}) {
      const v1::Evaluation* a = EvaluationOn(original_.model, split);
      const v1::Evaluation* b = EvaluationOn(reproduced_.model, split);
      const auto text = [](const v1::Evaluation* evaluation,
                           double (v1::Evaluation::*field)() const) {
        return evaluation == nullptr ? "-" : FormatFigure((evaluation->*field)(), 6);
      };
      for (const auto& [name, field] :
           {std::pair{"ACC", &v1::Evaluation::accuracy}, std::pair{"AUC", &v1::Evaluation::auc}}) {
        Add(absl::StrCat(split, " ", name), text(a, field), text(b, field));
      }
      if (a == nullptr || b == nullptr) {
        same_bits_ &= a == b;
        continue;
      }
      const bool same_answers =
          a->right() == b->right() && std::equal(a->confusion().begin(), a->confusion().end(),
                                                 b->confusion().begin(), b->confusion().end());
      result_.items.push_back({absl::StrCat(split, " answers"),
                               absl::StrCat(a->images(), " images"),
                               same_answers ? "the same" : "differ", same_answers});
      same_bits_ &= same_answers && ScoreDistance(a->accuracy(), b->accuracy()) == 0 &&
                    ScoreDistance(a->auc(), b->auc()) == 0;
      if (std::string(split) != "test") continue;
      // In this order, an AUC that only one of them has is the larger one.
      difference_ =
          std::max(ScoreDistance(a->auc(), b->auc()), ScoreDistance(a->accuracy(), b->accuracy()));
    }
  }

  void Judge(double tolerance) {
    result_.same_bits = same_bits_;
    if (!same_data_) {
      result_.verdict = "not reproduced: the two were made from different data";
    } else if (same_bits_) {
      result_.equal = true;
      result_.verdict = "equal: every tensor, activation range and score is the same, bit for bit";
    } else if (result_.same_environment && IsDecidedByTimes(original_.model)) {
      result_.verdict =
          "not equal; but the goal's latency or time budget was kept to by measured times, which "
          "differ from run to run: another try may have been chosen. Reproduce the tries";
    } else if (result_.same_environment) {
      result_.verdict =
          "not equal: processor, threads and libraries are the same, so every bit should be";
    } else {
      result_.equal = IsWithin(difference_, tolerance);
      result_.verdict = absl::StrFormat(
          "%s: %s, so scores are compared: test ACC and AUC differ by at most %.6f, %s the "
          "tolerance of %g",
          result_.equal ? "equal within the tolerance" : "not equal",
          on_gpu_ ? "GPUs add up in any order" : "the environments differ", difference_,
          result_.equal ? "within" : "beyond", tolerance);
    }
  }

  const StoredModel& original_;
  const StoredModel& reproduced_;
  ComparedModels result_;
  bool same_data_ = false;
  bool on_gpu_ = false;
  bool same_bits_ = false;
  double difference_ = 1;
};

}  // namespace

absl::StatusOr<Reproduction> PlanReproduction(const v1::Model& model, const std::string& name) {
  const v1::Provenance& provenance = model.provenance();
  if (provenance.spec().dataset().uri().empty() || provenance.dataset_hash().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(model),
                     " has no receipt (the recipe and the data's hash): it cannot be made again"));
  }
  Reproduction plan;
  plan.spec = provenance.spec();
  plan.model_name = name;
  if (IsDenseParent(model)) {
    plan.spec.clear_sweep();
    plan.spec.clear_goal();
    plan.spec.mutable_recipe()->clear_prune();
    plan.spec.mutable_recipe()->clear_finetune();
    plan.spec.mutable_recipe()->clear_quantize();
    plan.spec.mutable_recipe()->mutable_quantize()->set_weights(model.weights());
  } else if (const int number = TryNumber(model); number > 0) {
    // Each try follows from those before it, and all of them may miss the goal again.
    plan.spec.mutable_goal()->set_max_tries(number);
    plan.spec.mutable_goal()->clear_time_budget_seconds();
    plan.model_name = GoalTryName(name, number);
    plan.job_may_fail = true;
  } else if (plan.spec.has_sweep()) {
    double sparsity = 0;
    const absl::Status kept = KeepOneCell(model, &plan.spec, &sparsity);
    if (!kept.ok()) return kept;
    plan.model_name = SweepModelName(name, sparsity, model.weights());
  }
  plan.spec.set_model_name(name);
  // "name" alone would be its newest version.
  if (!plan.spec.base_model().empty()) plan.spec.set_base_model(provenance.parent());
  return plan;
}

ComparedModels CompareModels(const StoredModel& original, const StoredModel& reproduced,
                             double tolerance) {
  return Comparer(original, reproduced).Compare(tolerance);
}

}  // namespace cytopress
