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
  double work = 0;  // of one image, in products of a block of weights with the inputs of a position
};

// The bytes that a unit of work is worth where time counts like bytes: all of the work is worth all
// of the bytes, of what each layer's first choice has.
double BytesOfWork(const std::vector<std::vector<LayerChoice>>& layers);

// For each layer the index of its choice: those whose sum of losses is (nearly) the smallest among
// all whose bytes sum up to at most `max_bytes`; the smallest choices when nothing fits. By
// bisection of the price of a byte (Shoham and Gersho, "Efficient bit allocation for an arbitrary
// set of quantizers", 1988). A unit of work is paid for like `bytes_of_work` bytes, so that what it
// takes to fit is saved where it saves time, too; the bound is one of bytes alone, and where it
// takes choices of much work to fit, work costs nothing.
// REQUIRES: every layer has a choice.
std::vector<int> Allocate(const std::vector<std::vector<LayerChoice>>& layers, double max_bytes,
                          double bytes_of_work = 0);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_ALLOCATION_H_
