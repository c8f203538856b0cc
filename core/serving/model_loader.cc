#include "core/serving/model_loader.h"

#include <cmath>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

absl::Status WarmUp(Engine* engine, int images) {
  const std::vector<uint8_t> pixels(images * engine->image_bytes(), 128);
  std::vector<float> probabilities(size_t{1} * images * engine->classes());
  CYTOPRESS_RETURN_IF_ERROR(engine->Classify(pixels, images, absl::MakeSpan(probabilities)));
  for (const float probability : probabilities) {
    if (!std::isfinite(probability)) {
      return absl::DataLossError("the model computes infinite or undefined probabilities");
    }
  }
  return absl::OkStatus();
}

// Of a batch of `images`.
absl::StatusOr<double> SecondsPerImage(Engine* engine, int images, const Clock& clock) {
  const absl::Duration start = clock.Steady();
  CYTOPRESS_RETURN_IF_ERROR(WarmUp(engine, images));
  return absl::ToDoubleSeconds(clock.Steady() - start) / images;
}

absl::StatusOr<Artifact> ReadArtifact(const ModelRegistry& registry, const ModelVersion& version) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string path, registry.PathOf(version));
  std::error_code ignored;  // reading meets it, too
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, ignored));
  // What reading lacks may be there the next time, but this file is not read at any time.
  if (!ignored && size > kMaxArtifactFileBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " has ", size, " bytes; at most ", kMaxArtifactFileBytes, " are read"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArtifactFileBytes));
  absl::StatusOr<Artifact> artifact = ParseArtifact(bytes);
  // Of a file they mean that a part of it is larger than is ever read, which no memory of others
  // helps, or that it is of a newer release. gRPC's own UNIMPLEMENTED is the caller's mistake;
  // these are the server's.
  if (!absl::IsResourceExhausted(artifact.status()) && !absl::IsUnimplemented(artifact.status())) {
    return artifact;
  }
  return absl::FailedPreconditionError(artifact.status().message());
}

}  // namespace

absl::StatusOr<std::string> RegistryModelLoader::DefaultName() const {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<std::string> names, registry_->ModelNames());
  if (names.size() == 1) return names.front();
  if (names.empty()) {
    return WithReason(absl::NotFoundError("no model has been published yet"), "MODEL_NOT_FOUND");
  }
  return InvalidField("model", absl::StrCat("is empty, and the server has no default model; name "
                                            "one of: ",
                                            absl::StrJoin(names, ", ")));
}

absl::StatusOr<ModelVersion> RegistryModelLoader::Resolve(const ModelVersion& wanted) {
  ModelVersion named = wanted;
  if (named.name.empty()) {
    named.name = options_.default_model;
    if (named.name.empty()) {
      CYTOPRESS_ASSIGN_OR_RETURN(named.name, DefaultName());
    }
  }
  const absl::StatusOr<ModelVersion> version = registry_->Resolve(named);
  if (!absl::IsNotFound(version.status())) return version;
  absl::Status missing = version.status();
  if (wanted.name.empty() && named.name == options_.default_model && named.version == 0) {
    missing = absl::NotFoundError(
        absl::StrCat("the server's default model '", named.name,
                     "' is not there; name another in the request: ", missing.message()));
  }
  return WithReason(std::move(missing), "MODEL_NOT_FOUND");
}

absl::StatusOr<LoadedModel> RegistryModelLoader::Load(const ModelVersion& version) try {
  LoadedModel model;
  model.version = version;
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ReadArtifact(*registry_, version));
  model.preprocessing = artifact.preprocessing;
  model.class_names = artifact.class_names;
  for (int i = 0; i < options_.engines; ++i) {
    CYTOPRESS_ASSIGN_OR_RETURN(
        std::unique_ptr<Engine> engine,
        i == 0 ? options_.make_engine(artifact, options_.engine) : model.engines.front()->Clone());
    const int half = engine->preferred_batch() / 2;
    CYTOPRESS_RETURN_IF_ERROR(WarmUp(engine.get(), engine->preferred_batch()));
    // What is compiled for the first engine the others only copy, in a moment.
    for (int images = half; i == 0 && images > 1; images /= 2) {
      CYTOPRESS_ASSIGN_OR_RETURN(const double seconds,
                                 SecondsPerImage(engine.get(), images, *options_.clock));
      // A plan is compiled in this time, but the weights are packed already, which takes longer;
      // one more pass of a full batch would delay the start where batches take long.
      if (images == half) model.times.in_full_batch = seconds;
    }
    CYTOPRESS_RETURN_IF_ERROR(WarmUp(engine.get(), 1));
    model.engines.push_back(std::move(engine));
  }
  // Once more, now that nothing has to be made first.
  CYTOPRESS_ASSIGN_OR_RETURN(model.times.alone,
                             SecondsPerImage(model.engines.front().get(), 1, *options_.clock));
  return model;
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(absl::StrCat("no memory to load ", ToString(version)));
}

}  // namespace cytopress
