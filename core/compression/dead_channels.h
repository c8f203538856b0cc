// Channels that pruning has left without a use.
//
// Magnitude pruning knows nothing of what is connected: it keeps weights that make channels which
// nothing reads any more, and weights that read channels which say the same for every image. In a
// ResNet at 95 % whole branches end so. Removing them costs nothing (the "dead neurons" of Han et
// al., "Learning both Weights and Connections", 2015, section 3.5); what they free goes to weights
// that matter.
#ifndef CYTOPRESS_CORE_COMPRESSION_DEAD_CHANNELS_H_
#define CYTOPRESS_CORE_COMPRESSION_DEAD_CHANNELS_H_

#include <torch/torch.h>

#include <map>
#include <string>

#include "core/network/network.h"

namespace cytopress {

// By weight tensor name; float, [out, in, kernel height, kernel width] of zeros and ones.
using WeightFlags = std::map<std::string, torch::Tensor>;

// Marks as 0 in `allowed`, which has the same tensors as `kept`, the weights that make channels
// which no kept and allowed weight reads. Layers without an entry keep all of theirs; channels that
// are added to others or classified are read. True when there were any that were not marked before.
// What the network computes does not change when those weights become zero.
bool ForbidUnread(const Network& network, const WeightFlags& kept, WeightFlags* allowed);

// The same, and the weights that read channels without any weight of their own, which are as their
// bias makes them for every image. Without them the network computes something else, though nothing
// that it could not learn again in its biases.
bool ForbidUseless(const Network& network, const WeightFlags& kept, WeightFlags* allowed);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_DEAD_CHANNELS_H_
