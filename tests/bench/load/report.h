// What a run of the load generator says.
#ifndef CYTOPRESS_TESTS_BENCH_LOAD_REPORT_H_
#define CYTOPRESS_TESTS_BENCH_LOAD_REPORT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/load/generator.h"

namespace cytopress {

struct LoadReport {
  double images_per_second = 0;    // answered in time
  double requests_per_second = 0;  // that were to start
  int64_t requests = 0;
  std::map<std::string, int64_t> by_code;  // "OK", "RESOURCE_EXHAUSTED", ...
  // Of the accepted ones: those with an answer, and those whose deadline passed after all.
  double mean = 0;                            // seconds
  std::map<std::string, double> percentiles;  // "p50", "p90", "p99", "p99.9", "max"; seconds
  // Of the server's process, whatever came of the request; unset where it was not watched.
  std::optional<double> cpu_seconds_per_request;
  // Of the server's process, an image that was answered; unset where it was not watched.
  std::optional<double> cpu_seconds_per_image;
  std::optional<double> cpu_seconds_per_image_beside_engine;
  std::optional<int64_t> resident_bytes;
  std::optional<int> swaps;
};

// Percentiles are exact: of all the latencies, sorted.
LoadReport Summarize(const LoadResult& result, int images_a_request);

std::string AsTable(const LoadReport& report);
std::string AsJson(const LoadReport& report);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_LOAD_REPORT_H_
