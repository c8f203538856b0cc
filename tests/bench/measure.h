// Round-robin timing: all contenders meet the same noise of the machine.
#ifndef CYTOPRESS_TESTS_BENCH_MEASURE_H_
#define CYTOPRESS_TESTS_BENCH_MEASURE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/contender.h"
#include "tests/bench/cores.h"

namespace cytopress {

struct Entrant {
  std::unique_ptr<Contender> contender;
  int threads = 1;  // that it computes with
};

struct Timing {
  std::string contender;
  int threads = 1;
  int batch = 0;
  int passes = 0;
  // Seconds of one pass: median and the 10th and 90th percentile.
  double median = 0;
  double p10 = 0;
  double p90 = 0;
  double memory = 0;  // bytes, after the passes

  double images_per_second() const { return batch / median; }
};

// Turns of a few passes each, one contender after the other, until each has had `seconds`. The
// first pass of a turn, which finds the caches full of another contender's weights, is not counted.
// In the order of the entrants.
absl::StatusOr<std::vector<Timing>> Measure(const std::vector<Entrant>& entrants,
                                            const Cores& cores, int batch, double seconds);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_MEASURE_H_
