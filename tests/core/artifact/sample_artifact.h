// Valid artifacts with made-up weights.
#ifndef CYTOPRESS_TESTS_CORE_ARTIFACT_SAMPLE_ARTIFACT_H_
#define CYTOPRESS_TESTS_CORE_ARTIFACT_SAMPLE_ARTIFACT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "core/artifact/artifact.h"
#include "cytopress/v1/artifact.pb.h"

namespace cytopress {

// The smallest network of the family: a ResNet-18 for 8x8 pixels and 4 classes.
NetworkSpec SampleSpec();

struct SampleOptions {
  NetworkSpec spec = SampleSpec();
  v1::WeightType weights = v1::WEIGHT_TYPE_INT4;
  // Share of the prunable weights that are not zero. They follow a Laplace distribution. With few
  // of them the file has a few kilobytes.
  double density = 0.001;
  uint64_t seed = 1;
};
Artifact SampleArtifact(const SampleOptions& options = {});

// The file of SampleArtifact().
const std::string& SampleFile();

// The same file with another manifest and checksums that are right again.
std::string EditManifest(const std::string& file, const std::function<void(v1::Manifest&)>& edit);

// The same file with other raw bytes in one frame and checksums that are right again.
std::string ReplaceFrame(const std::string& file, int frame, const std::string& raw);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_ARTIFACT_SAMPLE_ARTIFACT_H_
