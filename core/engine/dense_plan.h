// A network compiled for one batch size: its primitives in order and the place of every activation
// in one arena.
#ifndef CYTOPRESS_CORE_ENGINE_DENSE_PLAN_H_
#define CYTOPRESS_CORE_ENGINE_DENSE_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/engine/arena.h"
#include "core/engine/dense_model.h"
#include "core/engine/network_layout.h"
#include "core/engine/onednn.h"

namespace cytopress {

// The constants of a model's convolutions, by layer; null for other layers.
using PackedModel = std::vector<std::unique_ptr<PackedConstants>>;
// `model` must outlive the result.
PackedModel PackModel(const DenseModel& model);

// Thread-compatible.
class DensePlan {
 public:
  // Both must outlive the plan. Throws dnnl::error.
  DensePlan(const DenseModel& model, PackedModel& packed, int batch);

  int batch() const { return batch_; }
  size_t arena_bytes() const { return layout_.bytes; }
  // Offsets in the arena of the input, to be filled before Run, and of the map that the classifier
  // pools; NHWC in the storage of their layers' grids.
  size_t input_offset() const { return layout_.offsets[0]; }
  size_t output_offset() const { return layout_.offsets[output_layer_]; }
  int output_layer() const { return output_layer_; }

  // Called after each layer with its output, which later layers overwrite.
  using Observer = std::function<void(int layer, const void* output)>;
  // REQUIRES: `arena` has at least arena_bytes(), and the number of OpenMP threads is that of the
  // construction.
  void Run(const Arena& arena, dnnl::stream& stream, const Observer& observer = nullptr);

  // oneDNN's name for the code of each primitive, for logs and benchmarks.
  std::vector<std::string> Implementations() const;

 private:
  struct Step {
    int layer;
    Operation operation;
  };

  void LayOut();
  void Compile(PackedModel& packed);
  void Bind(uint8_t* arena);
  size_t OutputBytes(int layer) const;

  const DenseModel& model_;
  const int batch_;
  const int output_layer_;
  std::vector<Step> steps_;
  NetworkLayout layout_;
  uint8_t* bound_ = nullptr;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_DENSE_PLAN_H_
