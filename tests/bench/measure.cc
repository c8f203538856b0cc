#include "tests/bench/measure.h"

#include <algorithm>

#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr double kTurnSeconds = 0.05;
constexpr int kFewestPasses = 2;  // of a turn

double Percentile(const std::vector<double>& sorted, double fraction) {
  return sorted[static_cast<size_t>(fraction * static_cast<double>(sorted.size() - 1) + 0.5)];
}

absl::Status TakeTurn(Contender& contender, int batch, std::vector<double>& passes) {
  CYTOPRESS_RETURN_IF_ERROR(contender.Run(batch).status());
  double total = 0;
  for (int pass = 0; pass < kFewestPasses || total < kTurnSeconds; ++pass) {
    CYTOPRESS_ASSIGN_OR_RETURN(const double seconds, contender.Run(batch));
    passes.push_back(seconds);
    total += seconds;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Timing>> Measure(
    const std::vector<std::unique_ptr<Contender>>& contenders, int batch, double seconds) {
  std::vector<std::vector<double>> passes(contenders.size());
  const int turns = std::max(3, static_cast<int>(seconds / kTurnSeconds));
  for (int turn = 0; turn < turns; ++turn) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      CYTOPRESS_RETURN_IF_ERROR(TakeTurn(*contenders[i], batch, passes[i]));
    }
  }
  std::vector<Timing> timings;
  for (size_t i = 0; i < contenders.size(); ++i) {
    CYTOPRESS_ASSIGN_OR_RETURN(const double memory, contenders[i]->Memory());
    std::sort(passes[i].begin(), passes[i].end());
    timings.push_back({contenders[i]->name(), batch, static_cast<int>(passes[i].size()),
                       Percentile(passes[i], 0.5), Percentile(passes[i], 0.1),
                       Percentile(passes[i], 0.9), memory});
  }
  return timings;
}

}  // namespace cytopress
