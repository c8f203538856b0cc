// How long something took.
#ifndef CYTOPRESS_TESTS_BENCH_STOPWATCH_H_
#define CYTOPRESS_TESTS_BENCH_STOPWATCH_H_

#include <time.h>

namespace cytopress {

enum class TimeKind {
  kWall,
  kCpu,  // of this process, all threads: what remains comparable while others use the machine
};

class Stopwatch {
 public:
  explicit Stopwatch(TimeKind kind)
      : clock_(kind == TimeKind::kCpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC),
        start_(Now()) {}
  double Seconds() const { return Now() - start_; }

 private:
  double Now() const {
    timespec now;
    clock_gettime(clock_, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }

  const clockid_t clock_;
  const double start_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_STOPWATCH_H_
