// A network laid out for one batch size: what computes each layer, in order, and the place of every
// activation in one arena.
#ifndef CYTOPRESS_CORE_ENGINE_PLAN_H_
#define CYTOPRESS_CORE_ENGINE_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "core/engine/arena.h"
#include "core/engine/dense_model.h"
#include "core/engine/network_layout.h"
#include "core/kernels/block_convolution.h"
#include "core/kernels/block_kernel.h"
#include "core/kernels/block_map.h"
#include "core/kernels/block_pooling.h"
#include "core/kernels/block_weights.h"
#include "core/kernels/matrix_convolution.h"
#include "core/kernels/matrix_weights.h"
#include "core/kernels/onednn.h"

namespace cytopress {

// How a convolution is computed: by oneDNN on NHWC maps, or on block maps; there either its zeros
// are skipped, or from some batch size on all is multiplied as a matrix. The last two give the same
// bytes.
struct LayerWay {
  static constexpr int kNever = std::numeric_limits<int>::max();
  bool in_blocks = false;
  int matrix_from = kNever;  // the smallest batch; 1: always

  bool operator==(const LayerWay& other) const {
    return in_blocks == other.in_blocks && matrix_from == other.matrix_from;
  }
};

// By layer.
using LayerWays = std::vector<LayerWay>;
LayerWays AllByOneDnn(const Network& network);
LayerWays AllInBlocks(const Network& network);  // zeros are skipped
LayerWays AllByMatrix(const Network& network);

// The constants of a model's convolutions, by layer; null where the layer's way does not need them.
struct PackedModel {
  std::vector<std::unique_ptr<PackedConstants>> onednn;
  std::vector<std::unique_ptr<Convolution>> im2col;  // what of onednn is computed so (im2col.h)
  std::vector<std::unique_ptr<BlockWeights>> blocks;
  std::vector<std::unique_ptr<MatrixWeights>> matrices;
  LayerWays choice;
  const BlockKernel* kernel = nullptr;

  // By layer.
  std::vector<bool> in_blocks() const;
};

// `model` must outlive the result; the weights of layers in blocks and of those that are computed
// by im2col are not read again, those of the others as long as PackedConstants needs them.
// Blocks: REQUIRES kInt8 arithmetic. Matrices: and kernel.run_matrix.
PackedModel PackModel(const DenseModel& model, const LayerWays& choice,
                      const BlockKernel& kernel = BestBlockKernel());

// Thread-compatible. A copy shares the constants and what was compiled, and may run while the
// original does, in an arena of its own.
class Plan {
 public:
  // Both must outlive the plan and its copies. Throws dnnl::error.
  Plan(const DenseModel& model, PackedModel& packed, int batch);

  int batch() const { return batch_; }
  size_t arena_bytes() const { return layout_.bytes; }
  // The layer whose map the classifier pools.
  int output_layer() const { return output_layer_; }

  // pixels: uint8 [count, height, width, channels], count up to batch().
  void FillInput(const uint8_t* pixels, int count, const Arena& arena) const;
  // Called after each layer, before later ones overwrite its output.
  using Observer = std::function<void(int layer)>;
  // REQUIRES: `arena` has at least arena_bytes(), and `threads`, the number of OpenMP threads, is
  // that of the construction.
  void Run(const Arena& arena, int threads, const Observer& observer = nullptr);
  // One image's output of a layer, NHWC as the model's grid stores it.
  void ReadMap(const Arena& arena, int layer, int image, uint8_t* values) const;
  size_t image_map_bytes(int layer) const;

 private:
  // Exactly one of operation, convolution, matrix and pooling is set.
  struct Step {
    int layer = 0;
    std::optional<Operation> operation;
    bool uses_im2col = false;  // of `operation`: it finds the rows in working memory
    std::shared_ptr<const BlockConvolution> convolution;
    std::shared_ptr<const MatrixConvolution> matrix;
    std::shared_ptr<const BlockPooling> pooling;
  };

  bool IsUnread(size_t layer) const { return !model_.unread.empty() && model_.unread[layer]; }
  Step Compile(int layer, PackedModel& packed) const;
  // Of the working memory, what im2col's rows take; the operation's own lies behind.
  size_t Im2colRoom(const Step& step) const;
  size_t ScratchBytes(const Step& step) const;
  void LayOut();
  void Bind(uint8_t* arena);
  // The XOR mask between a layer's signed bytes and how block maps store them: kSignedZero; 0 where
  // the bytes are unsigned.
  uint8_t Flip(int layer) const;
  uint8_t* Map(const Arena& arena, int layer, MapForm form) const;
  void FillNhwc(const uint8_t* pixels, int count, uint8_t* input) const;
  void FillBlocks(const uint8_t* pixels, int count, uint8_t* input) const;
  void RunStep(const Step& step, const Arena& arena, int threads);
  // Where another layer reads the other form.
  void Convert(int layer, const Arena& arena) const;

  const DenseModel& model_;
  const int batch_;
  const int output_layer_;
  const NetworkForms forms_;
  std::vector<BlockMap> maps_;  // by layer
  std::vector<Step> steps_;
  NetworkLayout layout_;
  // What model.integer_input is in a block of the first map, each channel's byte in its place.
  std::vector<uint32_t> input_bytes_;
  uint8_t* bound_ = nullptr;  // where the operations' arena is
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_PLAN_H_
