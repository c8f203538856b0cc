#ifndef CYTOPRESS_TESTS_CORE_REGISTRY_REGISTRY_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_REGISTRY_REGISTRY_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/registry/model_registry.h"
#include "tests/core/artifact/sample_artifact.h"
#include "tests/temporary_folder.h"

namespace cytopress {

// The sample file with a mark by which it is known again.
inline std::string MarkedFile(const std::string& mark) {
  return EditManifest(SampleFile(),
                      [&](v1::Manifest& m) { m.mutable_provenance()->set_job_id(mark); });
}

// A registry in a folder of the test's own.
class RegistryTest : public testing::Test {
 protected:
  int64_t Publish(const std::string& name, const std::string& key = "") {
    return registry_.Publish(name, SampleFile(), key).value().version;
  }
  std::string PathIn(const std::string& name, const std::string& file) const {
    return absl::StrCat(root_, "/", name, "/", file);
  }
  void WriteFile(const std::string& path, const std::string& content) const {
    std::ofstream(path) << content;
  }
  std::set<int64_t> Versions(const std::string& name) const {
    std::set<int64_t> versions;
    const auto models = registry_.List(name).value();
    for (const v1::Model& model : models) versions.insert(model.version());
    return versions;
  }

  const TemporaryFolder temporary_;
  const std::string root_ = temporary_.PathOf("models");
  ModelRegistry registry_ = ModelRegistry::Open(root_).value();
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_REGISTRY_REGISTRY_FIXTURE_H_
