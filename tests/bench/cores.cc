#include "tests/bench/cores.h"

namespace cytopress {

Cores::Cores() {
  CPU_ZERO(&last_);
  known_ = sched_getaffinity(0, sizeof(all_), &all_) == 0;
  for (int core = CPU_SETSIZE - 1; known_ && core >= 0; --core) {
    if (!CPU_ISSET(core, &all_)) continue;
    CPU_SET(core, &last_);
    return;
  }
}

void Cores::UseFor(int threads) const {
  if (known_) sched_setaffinity(0, sizeof(all_), threads == 1 ? &last_ : &all_);
}

}  // namespace cytopress
