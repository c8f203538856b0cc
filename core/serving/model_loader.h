// Where models to serve come from.
#ifndef CYTOPRESS_CORE_SERVING_MODEL_LOADER_H_
#define CYTOPRESS_CORE_SERVING_MODEL_LOADER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "core/image/image.h"
#include "core/registry/model_registry.h"
#include "core/serving/image_times.h"

namespace cytopress {

// One model version in memory.
struct LoadedModel {
  ModelVersion version;
  Preprocessing preprocessing;
  std::vector<std::string> class_names;
  std::vector<std::unique_ptr<Engine>> engines;  // equal ones, for as many threads
  ImageTimes times;
};

// Thread-safe.
class ModelLoader {
 public:
  virtual ~ModelLoader() = default;

  // The version that a request means now: an empty name is the default model, version 0 the newest.
  // May wait for a file system. NOT_FOUND or INVALID_ARGUMENT names what there is instead;
  // UNAVAILABLE when that cannot be told now.
  virtual absl::StatusOr<ModelVersion> Resolve(const ModelVersion& wanted) = 0;

  // Counts what this process has published and deleted: what Resolve answered before may be wrong
  // after it. Waits for nothing.
  virtual int64_t changes() const = 0;

  // Takes its time. RESOURCE_EXHAUSTED when there is no memory for it. REQUIRES: `version` is what
  // Resolve answered.
  virtual absl::StatusOr<LoadedModel> Load(const ModelVersion& version) = 0;
};

// What makes an engine of an artifact; called on any thread, by several at once. Errors become
// those of the requests that wait for the model.
using EngineFactory = std::function<absl::StatusOr<std::unique_ptr<Engine>>(
    const Artifact& artifact, const EngineOptions& options)>;

struct RegistryModelLoaderOptions {
  std::string default_model;  // empty: the registry's only model, where there is just one
  int engines = 1;            // a model
  EngineOptions engine;
  EngineFactory make_engine = CreateEngine;
  Clock* clock = RealClock();  // must outlive the loader
};

// Thread-safe, as every loader.
class RegistryModelLoader : public ModelLoader {
 public:
  // `registry` must outlive the loader.
  RegistryModelLoader(const RegistryModelLoaderOptions& options, const ModelRegistry* registry)
      : options_(options), registry_(registry) {}

  absl::StatusOr<ModelVersion> Resolve(const ModelVersion& wanted) override;
  int64_t changes() const override { return registry_->changes(); }
  // Before this returns the first engine has computed a batch of every size that engines compute,
  // and each of them one image and its preferred batch, so that a model's first requests are as
  // fast as the others. How long the first engine takes for an image, alone and in a half full
  // batch, has been measured by then.
  absl::StatusOr<LoadedModel> Load(const ModelVersion& version) override;

 private:
  absl::StatusOr<std::string> DefaultName() const;

  const RegistryModelLoaderOptions options_;
  const ModelRegistry* const registry_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_MODEL_LOADER_H_
