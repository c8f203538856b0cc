// Sends Classify requests and notes what becomes of each.
#ifndef CYTOPRESS_TESTS_BENCH_LOAD_GENERATOR_H_
#define CYTOPRESS_TESTS_BENCH_LOAD_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace cytopress {

struct LoadOptions {
  std::string target = "127.0.0.1:8500";
  std::string model;  // empty: the server's default
  std::vector<std::string> images;
  int images_a_request = 1;
  // Closed loop: so many requests are on their way at all times. Open loop, if `rate` is not 0:
  // requests start at random times (a Poisson process), `rate` a second, whatever the answers do.
  int in_flight = 1;
  double rate = 0;
  int connections = 1;
  absl::Duration deadline = absl::Seconds(30);
  absl::Duration warm_up = absl::Seconds(1);
  absl::Duration duration = absl::Seconds(5);
};

struct LoadResult {
  struct Request {
    // From the time at which it was to start, so that a client that lags behind hides nothing.
    double seconds = 0;
    int code = 0;  // of grpc::StatusCode
  };
  std::vector<Request> requests;  // that were to start within the measured time
  double seconds = 0;             // measured
  absl::Status first_error;       // of all requests, also of the warm-up; OK without any
};

// `on_start` and `on_end` are called at the ends of the measured time.
LoadResult GenerateLoad(const LoadOptions& options, const std::function<void()>& on_start,
                        const std::function<void()>& on_end);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_LOAD_GENERATOR_H_
