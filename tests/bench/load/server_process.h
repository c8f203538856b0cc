// What the server's process costs, seen from outside.
#ifndef CYTOPRESS_TESTS_BENCH_LOAD_SERVER_PROCESS_H_
#define CYTOPRESS_TESTS_BENCH_LOAD_SERVER_PROCESS_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace cytopress {

struct ProcessCost {
  double cpu_seconds = 0;  // user and system, of all threads so far
  int64_t resident_bytes = 0;
};

// From /proc. NOT_FOUND when there is no such process.
absl::StatusOr<ProcessCost> CostOfProcess(int pid);

// The processor time that the server's metrics say its engines have used, all models together.
absl::StatusOr<double> EngineCpuSeconds(int metrics_port);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_LOAD_SERVER_PROCESS_H_
