#include "core/base/parallel.h"

#include <system_error>
#include <thread>
#include <vector>

namespace cytopress {

void RunOnAllCores(const std::function<void()>& work) {
  std::vector<std::thread> threads;
  try {
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // The threads that did start, and this one, do it all.
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace cytopress
