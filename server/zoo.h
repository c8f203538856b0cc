// Ready-made models that come with the program.
#ifndef CYTOPRESS_SERVER_ZOO_H_
#define CYTOPRESS_SERVER_ZOO_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/registry/model_registry.h"

namespace cytopress {

// Publishes every `<folder>/<name>.cyp` as `<name>` in a registry that has no model; returns how
// many. What its owner deleted stays away. A registry in use is left alone, unless its own offering
// did not come to its end: the file `marker` is there as long as it goes on. NOT_FOUND when there
// is no such folder; the error of the first file that cannot be published names it.
absl::StatusOr<int> OfferZoo(const std::string& folder, const std::string& marker,
                             ModelRegistry& registry);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_ZOO_H_
