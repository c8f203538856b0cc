// From a network's values to the tensors that a file stores, and back.
#ifndef CYTOPRESS_CORE_COMPRESSION_ENCODING_H_
#define CYTOPRESS_CORE_COMPRESSION_ENCODING_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/compression/weight_rounding.h"

namespace cytopress {

// FP32, FP16: every tensor in that type, batch norms apart and in FP32. REQUIRES: `weights` is one
// of the two.
std::map<std::string, StoredTensor> EncodeFloats(const TensorMap& tensors, v1::WeightType weights);

// The integers as they are, with the batch norms of `tensors` folded into their scales and an FP16
// bias. Scales are positive: a negative batch norm turns its channel's integers round.
absl::StatusOr<std::map<std::string, StoredTensor>> EncodeIntegers(const Network& network,
                                                                   const TensorMap& tensors,
                                                                   const IntegerWeights& integers);

// The FP32 values of stored tensors, for LibTorch: as the file holds them, rounded to FP16 where it
// does. What FP16 cannot hold stays, since no file is written with it.
TensorMap DecodeTensors(const std::map<std::string, StoredTensor>& tensors);

struct StoredBytes {
  int64_t packed = 0;  // bit-packed, before zstd, zeros too
  int64_t disk = 0;    // in a file
};

// What a file's tensors take, without writing one: packed as the writer lays them out, but by
// zstd's quick level, which takes a second or less where the thorough one takes many. A file of
// many zeros is smaller by a tenth or so.
absl::StatusOr<StoredBytes> MeasureBytes(const std::map<std::string, StoredTensor>& tensors);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_ENCODING_H_
