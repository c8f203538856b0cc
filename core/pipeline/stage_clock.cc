#include "core/pipeline/stage_clock.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>

namespace cytopress {
namespace {

// The key in a checkpoint.
constexpr char kStageSeconds[] = "stage_seconds";

}  // namespace

void StageClock::Begin() { began_ = {clock_->Steady()}; }

void StageClock::BeginNested() { began_.push_back(clock_->Steady()); }

void StageClock::EndNested() { began_.pop_back(); }

absl::Duration StageClock::Taken() const { return clock_->Steady() - began_.back(); }

absl::Duration StageClock::TakenByOuter() const { return clock_->Steady() - began_.front(); }

void StageClock::Put(TensorTable& table) const {
  std::vector<double> seconds;
  for (const absl::Duration began : began_) {
    seconds.push_back(absl::ToDoubleSeconds(clock_->Steady() - began));
  }
  table[kStageSeconds] = torch::tensor(seconds, torch::kFloat64);
}

void StageClock::Take(const TensorTable& table) {
  const auto seconds = table.find(kStageSeconds);
  if (seconds == table.end()) return;
  const torch::Tensor values = seconds->second.flatten();
  const size_t count = std::min(began_.size(), static_cast<size_t>(values.numel()));
  for (size_t i = 0; i < count; ++i) {
    const double taken = values[static_cast<int64_t>(i)].item<double>();
    began_[i] = std::min(began_[i], clock_->Steady() - absl::Seconds(taken));
  }
}

}  // namespace cytopress
