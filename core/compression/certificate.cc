#include "core/compression/certificate.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/artifact/weight_type.h"
#include "core/base/clock.h"
#include "core/base/processor.h"
#include "core/base/status_macros.h"
#include "core/compression/publishing.h"
#include "core/compression/scoring.h"
#include "core/engine/engine.h"

namespace cytopress {
namespace {

constexpr int kWarmUps = 3;
constexpr int kTimings = 31;

absl::StatusOr<v1::Evaluation> ParentTest(const PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact parent, ReadParent(state));
  const v1::Evaluation* const stored =
      StoredEvaluation(parent, state.dataset, state.told_names, "test");
  if (stored != nullptr && !stored->right().empty()) return *stored;
  return EvaluateArtifact(parent, state.dataset, "test",
                          {at::get_num_threads(), Arithmetic::kAuto, /*auc_interval=*/true});
}

// The median of one image alone on one thread, in seconds.
absl::StatusOr<double> MeasureLatency(Engine& engine, const Dataset& dataset) {
  const absl::Span<const uint8_t> image =
      absl::MakeConstSpan(dataset.test.pixels).subspan(0, dataset.image_bytes());
  std::vector<float> probabilities(engine.classes());
  std::vector<double> seconds;
  for (int i = 0; i < kWarmUps + kTimings; ++i) {
    const absl::Duration start = RealClock()->Steady();
    CYTOPRESS_RETURN_IF_ERROR(engine.Classify(image, 1, absl::MakeSpan(probabilities)));
    if (i >= kWarmUps) {
      seconds.push_back(absl::ToDoubleSeconds(RealClock()->Steady() - start));
    }
  }
  std::nth_element(seconds.begin(), seconds.begin() + kTimings / 2, seconds.end());
  return seconds[kTimings / 2];
}

absl::Status CompareWithParent(const PipelineState& state, const v1::Evaluation& test,
                               v1::Certificate& certificate) {
  certificate.set_parent(state.parent);
  CYTOPRESS_ASSIGN_OR_RETURN(v1::Evaluation parent, ParentTest(state));
  const McNemar comparison = CompareByMcNemar(RightOf(parent), RightOf(test));
  certificate.set_only_parent_right(comparison.only_first_right);
  certificate.set_only_model_right(comparison.only_second_right);
  certificate.set_mcnemar_p_value(comparison.p_value);
  parent.clear_right();
  *certificate.mutable_parent_test() = std::move(parent);
  return absl::OkStatus();
}

void AddLowestRecall(const v1::Evaluation& test, v1::Certificate& certificate) {
  certificate.set_lowest_recall(1);
  for (int c = 0; c < test.class_recall_size(); ++c) {
    const double recall = test.class_recall(c);
    if (std::isnan(recall) || recall > certificate.lowest_recall()) continue;
    certificate.set_lowest_recall(recall);
    certificate.set_lowest_recall_class(c);
  }
}

}  // namespace

absl::StatusOr<v1::Certificate> Certify(const PipelineState& state, const Artifact& artifact,
                                        const v1::Evaluation& test) {
  v1::Certificate certificate;
  if (!state.parent.empty()) {
    CYTOPRESS_RETURN_IF_ERROR(CompareWithParent(state, test, certificate));
  }
  AddLowestRecall(test, certificate);

  v1::Evaluation weights_only = test;
  if (IsInteger(artifact.weights)) {
    CYTOPRESS_ASSIGN_OR_RETURN(weights_only,
                               EvaluateArtifact(artifact, state.dataset, "test",
                                                {at::get_num_threads(), Arithmetic::kFp32}));
  }
  weights_only.clear_right();
  weights_only.clear_auc_low();
  weights_only.clear_auc_high();
  *certificate.mutable_weights_only_test() = std::move(weights_only);

  CYTOPRESS_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, CreateEngine(artifact));
  CYTOPRESS_ASSIGN_OR_RETURN(const double latency, MeasureLatency(*engine, state.dataset));
  certificate.set_latency_seconds(latency);
  certificate.set_processor(ProcessorName());
  certificate.set_engine(engine->name());
  return certificate;
}

}  // namespace cytopress
