#include "core/pipeline/publishing.h"

#include <google/protobuf/stubs/common.h>
#include <torch/version.h>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/processor.h"
#include "core/base/status_macros.h"
#include "core/compression/blas.h"
#include "core/compression/scoring.h"
#include "core/pipeline/certificate.h"

namespace cytopress {
namespace {

// The instruction set of LibTorch's own loops, such as "AVX512", which the environment may change.
std::string InstructionSet() {
  const std::string config = at::show_config();
  for (absl::string_view line : absl::StrSplit(config, '\n')) {
    if (absl::ConsumePrefix(&line, "  - CPU capability usage: ")) return std::string(line);
  }
  return "unknown";
}

v1::Provenance MakeProvenance(const PipelineState& state) {
  v1::Provenance provenance;
  const absl::Time now = absl::Now();
  provenance.mutable_created()->set_seconds(absl::ToUnixSeconds(now));
  provenance.set_job_id(state.context.job_id);
  provenance.set_parent(state.parent.name);
  provenance.set_dataset_name(state.dataset.name);
  provenance.set_dataset_hash(state.dataset.content_hash);
  provenance.set_synthetic_data(state.dataset.synthetic);
  *provenance.mutable_spec() = state.spec;
  // Whoever goes on from this model with the same data has to call them so, too.
  provenance.mutable_spec()->mutable_dataset()->mutable_class_names()->Assign(
      state.told_names.begin(), state.told_names.end());
  if (state.goal.epochs > 0) {  // what was trained, so that it can be done again
    provenance.mutable_spec()->mutable_recipe()->mutable_finetune()->set_epochs(state.goal.epochs);
  }
  auto& versions = *provenance.mutable_versions();
  versions["cytopress"] = CYTOPRESS_VERSION;
  versions["libtorch"] = TORCH_VERSION;
  versions["protobuf"] = google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION);
  versions["onednn"] = OneDnnVersion();
  versions["zstd"] = ZstdVersion();
  versions["blas"] = BlasVersion();
  versions["instructions"] = InstructionSet();
  provenance.set_processor(ProcessorName());
  provenance.set_device(state.device.str());
  provenance.set_threads(at::get_num_threads());
  return provenance;
}

}  // namespace

Artifact DescribeArtifact(const PipelineState& state, v1::WeightType weights) {
  Artifact artifact;
  artifact.network = state.network->network().spec;
  artifact.preprocessing = state.dataset.preprocessing;
  artifact.class_names = state.dataset.class_names;
  artifact.weights = weights;
  artifact.ledger = state.ledger;
  artifact.provenance = MakeProvenance(state);
  return artifact;
}

absl::StatusOr<Artifact> ReadParent(const PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(state.parent.name));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, state.context.registry->Read(version));
  return ParseArtifact(bytes);
}

absl::StatusOr<v1::Evaluation> EvaluateParent(const PipelineState& state,
                                              const std::string& split_name,
                                              const ShareDone& done) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact parent, ReadParent(state));
  const v1::Evaluation* const stored =
      StoredEvaluation(parent, state.dataset, state.told_names, split_name);
  if (stored != nullptr && !stored->right().empty()) return *stored;
  return EvaluateArtifact(parent, state.dataset, split_name,
                          {at::get_num_threads(), Arithmetic::kAuto, /*auc_interval=*/true}, done);
}

absl::StatusOr<WrittenArtifact> WriteAndReadBack(const Artifact& artifact,
                                                 const std::string& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, SerializeArtifact(artifact));
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(path, bytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string read, ReadFile(path, kMaxArtifactFileBytes));
  WrittenArtifact written;
  CYTOPRESS_ASSIGN_OR_RETURN(written.artifact, ParseArtifact(read));
  written.disk_bytes = static_cast<int64_t>(read.size());
  return written;
}

absl::StatusOr<v1::Evaluation> EvaluateFile(const PipelineState& state, const std::string& path,
                                            const ShareDone& done) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArtifactFileBytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(bytes));
  FileMetadata metadata;
  metadata.ledger = state.ledger;
  for (const char* split : {"val", "test"}) {
    const double begin = static_cast<double>(metadata.evaluations.size()) / 4;
    CYTOPRESS_ASSIGN_OR_RETURN(
        v1::Evaluation evaluation,
        EvaluateArtifact(artifact, state.dataset, split,
                         {at::get_num_threads(), Arithmetic::kAuto, /*auc_interval=*/true},
                         PartOf(done, begin, begin + 0.25)));
    metadata.evaluations.push_back(std::move(evaluation));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(
      metadata.certificate,
      Certify(state, artifact, metadata.evaluations.back(), PartOf(done, 0.5, 1)));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string scored, ReplaceMetadata(bytes, metadata));
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(path, scored));
  return metadata.evaluations.front();
}

void AddBytes(const v1::ModelSize& size, StageOutcome& outcome) {
  outcome.packed_bytes = size.packed_bytes();
  outcome.disk_bytes = size.disk_bytes();
}

absl::Status AddBytesOfParent(const PipelineState& state, StageOutcome& outcome) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(state.parent.name));
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model parent, state.context.registry->Get(version));
  AddBytes(parent.size(), outcome);
  return absl::OkStatus();
}

absl::StatusOr<std::string> PublishFile(const PipelineState& state, const std::string& path,
                                        const std::string& name) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArtifactFileBytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version,
                             state.context.registry->Publish(name, bytes, state.context.job_id));
  return ToString(version);
}

}  // namespace cytopress
