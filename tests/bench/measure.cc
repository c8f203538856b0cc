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

absl::Status TakeTurn(Contender& contender, int batch, double turn_seconds,
                      std::vector<double>& passes) {
  CYTOPRESS_RETURN_IF_ERROR(contender.Run(batch).status());
  double total = 0;
  for (int pass = 0; pass < kFewestPasses || total < turn_seconds; ++pass) {
    CYTOPRESS_ASSIGN_OR_RETURN(const double seconds, contender.Run(batch));
    passes.push_back(seconds);
    total += seconds;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Timing>> Measure(const std::vector<Entrant>& entrants,
                                            const Cores& cores, int batch, double seconds) {
  std::vector<std::vector<double>> passes(entrants.size());
  const double turn_seconds = std::min(kTurnSeconds, seconds);
  const int turns = std::max(3, static_cast<int>(seconds / turn_seconds));
  for (int turn = 0; turn < turns; ++turn) {
    for (size_t i = 0; i < entrants.size(); ++i) {
      cores.UseFor(entrants[i].threads);
      CYTOPRESS_RETURN_IF_ERROR(TakeTurn(*entrants[i].contender, batch, turn_seconds, passes[i]));
    }
  }
  std::vector<Timing> timings;
  for (size_t i = 0; i < entrants.size(); ++i) {
    CYTOPRESS_ASSIGN_OR_RETURN(const double memory, entrants[i].contender->Memory());
    std::sort(passes[i].begin(), passes[i].end());
    timings.push_back({entrants[i].contender->name(), entrants[i].threads, batch,
                       static_cast<int>(passes[i].size()), Percentile(passes[i], 0.5),
                       Percentile(passes[i], 0.1), Percentile(passes[i], 0.9), memory});
  }
  return timings;
}

}  // namespace cytopress
