// Ready-made models that come with the program.
#ifndef CYTOPRESS_SERVER_ZOO_H_
#define CYTOPRESS_SERVER_ZOO_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/registry/model_registry.h"

namespace cytopress {

// Publishes every `<folder>/<name>.cyp` as `<name>` in a registry that has no model; returns how
// many there are then. What its owner deleted stays away. A registry in use is left alone.
// NOT_FOUND when there is no such folder; the error of the first file that cannot be published
// names it.
absl::StatusOr<int> OfferZoo(const std::string& folder, ModelRegistry& registry);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_ZOO_H_
