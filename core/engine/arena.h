// One block of memory for everything between the input and the output of a network.
#ifndef CYTOPRESS_CORE_ENGINE_ARENA_H_
#define CYTOPRESS_CORE_ENGINE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cytopress {

inline constexpr size_t kArenaAlignment = 64;

// A buffer that is needed from step `first` to step `last`, both included.
struct BufferLifetime {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

// Where each buffer lies so that no two that are needed at the same step overlap. Greedy by size,
// each into the lowest gap that fits (Pisarchyk and Lee, "Efficient Memory Management for Deep
// Neural Net Inference", 2020). Offsets are multiples of kArenaAlignment.
struct ArenaLayout {
  std::vector<size_t> offsets;
  size_t bytes = 0;
};
ArenaLayout PlanArena(const std::vector<BufferLifetime>& buffers);

// Aligned memory that only grows. Growing loses the content. Thread-compatible.
class Arena {
 public:
  void Reserve(size_t bytes);
  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<uint8_t[]> block_;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_ARENA_H_
