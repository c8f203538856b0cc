// How much of each layer goes, and how many bits the rest keeps, so that the whole fits.
#ifndef CYTOPRESS_CORE_COMPRESSION_ALLOCATION_H_
#define CYTOPRESS_CORE_COMPRESSION_ALLOCATION_H_

#include <vector>

#include "cytopress/v1/network.pb.h"

namespace cytopress {

// One way to store a layer.
struct LayerChoice {
  double sparsity = 0;
  v1::WeightType weights = v1::WEIGHT_TYPE_INT8;
  double bytes = 0;  // in the file, estimated
  double loss = 0;   // what it adds to the training loss, estimated
};

// For each layer the index of its choice: those whose sum of losses is (nearly) the smallest among
// all whose bytes sum up to at most `max_bytes`; the smallest choices when nothing fits. By
// bisection of the price of a byte (Shoham and Gersho, "Efficient bit allocation for an arbitrary
// set of quantizers", 1988). REQUIRES: every layer has a choice.
std::vector<int> Allocate(const std::vector<std::vector<LayerChoice>>& layers, double max_bytes);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_ALLOCATION_H_
