// How tests and benchmarks speak of a network.
#ifndef CYTOPRESS_TESTS_CORE_NETWORK_DESCRIPTION_H_
#define CYTOPRESS_TESTS_CORE_NETWORK_DESCRIPTION_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/network/network.h"

namespace cytopress {

inline absl::string_view StemName(Stem stem) {
  switch (stem) {
    case Stem::kImagenet:
      return "imagenet";
    case Stem::kCifar:
      return "cifar";
    case Stem::kStride2:
      return "stride2";
  }
  return "unknown";
}

inline absl::StatusOr<Stem> ParseStem(absl::string_view name) {
  for (Stem stem : {Stem::kImagenet, Stem::kCifar, Stem::kStride2}) {
    if (StemName(stem) == name) return stem;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the stem '", name, "' is unknown; use imagenet, cifar or stride2"));
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_NETWORK_DESCRIPTION_H_
