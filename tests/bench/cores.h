// On which cores what is measured runs.
#ifndef CYTOPRESS_TESTS_BENCH_CORES_H_
#define CYTOPRESS_TESTS_BENCH_CORES_H_

#include <sched.h>

namespace cytopress {

// Those that this process may use when it is made. Thread-compatible.
class Cores {
 public:
  Cores();

  // Where this thread, and what it starts from now on, may run: for a single thread the last core,
  // else all of them.
  void UseFor(int threads) const;

 private:
  bool known_ = false;
  cpu_set_t all_;
  cpu_set_t last_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_CORES_H_
