// Work that all cores do together.
#ifndef CYTOPRESS_CORE_BASE_PARALLEL_H_
#define CYTOPRESS_CORE_BASE_PARALLEL_H_

#include <functional>

namespace cytopress {

// Calls `work` once on each of as many threads as there are cores, this one included, or as many as
// the system grants; returns when all calls have. `work` takes its share from a counter that it
// shares with the others, and does not throw.
void RunOnAllCores(const std::function<void()>& work);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_PARALLEL_H_
