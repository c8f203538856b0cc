#include "core/engine/compiled_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

template <typename Weights>
bool HasAny(const std::vector<std::unique_ptr<Weights>>& by_layer) {
  return std::any_of(by_layer.begin(), by_layer.end(),
                     [](const auto& weights) { return weights != nullptr; });
}

std::string NameOf(DenseArithmetic arithmetic, const PackedModel& packed) {
  if (arithmetic == DenseArithmetic::kFp32) return "onednn-fp32";
  if (arithmetic == DenseArithmetic::kBf16) return "onednn-bf16";
  const bool has_matrices = HasAny(packed.matrices);
  if (!HasAny(packed.blocks) && !has_matrices) return "onednn-int8";
  return absl::StrCat(HasAny(packed.onednn) ? "mixed" : "block", "-int8-",
                      has_matrices ? packed.kernel->matrix_name : packed.kernel->name);
}

void DropWeights(Convolution* convolution) {
  std::vector<int8_t>().swap(convolution->integer_weights);
  std::vector<float>().swap(convolution->float_weights);
}

}  // namespace

CompiledModel::CompiledModel(DenseModel model, const LayerWays& choice, const BlockKernel& kernel)
    : CompiledModel(std::make_shared<DenseModel>(std::move(model)), choice, kernel) {}

CompiledModel::CompiledModel(const std::shared_ptr<DenseModel>& model, const LayerWays& choice,
                             const BlockKernel& kernel)
    : model_(model),
      packed_(PackModel(*model_, choice, kernel)),
      engine_name_(NameOf(model_->arithmetic, packed_)) {
  for (size_t i = 0; i < choice.size(); ++i) {
    if (!choice[i].in_blocks && packed_.im2col[i] == nullptr) continue;
    DropWeights(&model_->convolutions[i]);
  }
}

void CompiledModel::DropPackedWeights() {
  for (size_t i = 0; i < packed_.onednn.size(); ++i) {
    if (packed_.onednn[i] == nullptr || packed_.onednn[i]->needs_plain_weights()) continue;
    Convolution* const im2col = packed_.im2col[i].get();
    DropWeights(im2col != nullptr ? im2col : &model_->convolutions[i]);
  }
}

std::unique_ptr<Plan> CompiledModel::PlanFor(int batch) {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<const Plan>& plan = plans_[batch];
  if (plan == nullptr) {
    plan = std::make_unique<const Plan>(*model_, packed_, batch);
    DropPackedWeights();
  }
  return std::make_unique<Plan>(*plan);
}

}  // namespace cytopress
