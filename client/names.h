// The short names that people type for values of the protocol, both ways.
#ifndef CYTOPRESS_CLIENT_NAMES_H_
#define CYTOPRESS_CLIENT_NAMES_H_

#include <map>
#include <string>

#include "cytopress/v1/models.pb.h"
#include "cytopress/v1/network.pb.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

const std::map<std::string, v1::WeightType>& WeightTypesByName();  // "fp32" ... "int4"
const std::map<std::string, v1::Stem>& StemsByName();              // "imagenet", "cifar", "stride2"
const std::map<std::string, v1::ModelFormat>& ModelFormatsByName();  // "cyp", "onnx"
const std::map<std::string, v1::PruneMethod>&
PruneMethodsByName();  // "global", "layer", "fisher", "cost-aware"
const std::map<std::string, v1::PrunePattern>& PrunePatternsByName();  // "2:4", "block4", ...
const std::map<std::string, v1::PrunePattern>& SweepPatternsByName();  // without "2:4"
const std::map<std::string, v1::RangeMethod>& RangeMethodsByName();    // "min-max", "mse", ...
// Without "asymmetric", which is for weights.
const std::map<std::string, v1::RangeMethod>& ActivationRangesByName();
const std::map<std::string, v1::Rounding>& RoundingsByName();               // "nearest", "gptq"
const std::map<std::string, v1::CollapsePolicy>& CollapsePoliciesByName();  // "mend", "report"

// "-" for what has no name.
std::string NameOf(v1::WeightType weights);
std::string NameOf(v1::Stem stem);

// As NameOf; "int4/int8" where the recipe or the search of its job chose between them layer by
// layer.
std::string WeightsOf(const v1::Model& model);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_NAMES_H_
