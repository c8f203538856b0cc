// An artifact turned into what the engines compute, before any batch size is known.
#ifndef CYTOPRESS_CORE_ENGINE_DENSE_MODEL_H_
#define CYTOPRESS_CORE_ENGINE_DENSE_MODEL_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/engine/classifier.h"
#include "core/kernels/convolution.h"
#include "core/network/network.h"

namespace cytopress {

enum class DenseArithmetic {
  kFp32,
  kBf16,  // FP32 weights and sums; activations and what is multiplied in BF16
  kInt8,
};

// How the outputs of a layer are stored.
struct OutputGrid {
  DataType type = DataType::kFloat32;
  float step = 1;  // real value = step * stored, for integers
};

struct DenseModel {
  Network network;
  DenseArithmetic arithmetic = DenseArithmetic::kFp32;
  // One an entry of network.layers.
  std::vector<OutputGrid> grids;
  std::vector<Convolution> convolutions;  // empty but for Op::kConv
  // By layer: whether its output is of no consequence, since only integer weights that are all zero
  // read it. Plans leave such layers out. Empty: none is.
  std::vector<bool> unread;
  // The network's input for pixel value v of channel c, in the storage of grids[0], at [256 * c +
  // v].
  std::vector<float> float_input;
  std::vector<uint16_t> bfloat16_input;
  std::vector<int8_t> integer_input;
  Classifier classifier;
};

// Activations are quantized symmetrically: layer L's outputs to uint8 in steps of
// activation_ranges[L] / 255 after a ReLU, else to int8 in steps of activation_ranges[L] / 127; a
// pooled map keeps its input's steps. Errors: FAILED_PRECONDITION names what the artifact lacks for
// the arithmetic; INVALID_ARGUMENT or NOT_FOUND names a tensor that does not fit the network.
absl::StatusOr<DenseModel> BuildDenseModel(const Artifact& artifact, DenseArithmetic arithmetic);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_DENSE_MODEL_H_
