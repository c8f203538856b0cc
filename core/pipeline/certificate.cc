#include "core/pipeline/certificate.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/artifact/weight_type.h"
#include "core/base/clock.h"
#include "core/base/processor.h"
#include "core/base/status_macros.h"
#include "core/compression/scoring.h"
#include "core/engine/engine.h"
#include "core/pipeline/publishing.h"

namespace cytopress {
namespace {

constexpr int kWarmUps = 3;
constexpr int kTimings = 31;

// The share of the work that comes before each of its three parts: scores of the parent and of the
// weights alone, and the time of an image.
constexpr double kParentDone = 0.45, kScored = 0.9;

// The median of one image alone on one thread, in seconds.
absl::StatusOr<double> MeasureLatency(Engine& engine, const Dataset& dataset,
                                      const ShareDone& done) {
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
    if (done == nullptr) continue;
    CYTOPRESS_RETURN_IF_ERROR(done(static_cast<double>(i + 1) / (kWarmUps + kTimings)));
  }
  std::nth_element(seconds.begin(), seconds.begin() + kTimings / 2, seconds.end());
  return seconds[kTimings / 2];
}

absl::Status CompareWithParent(const PipelineState& state, const v1::Evaluation& test,
                               const ShareDone& done, v1::Certificate& certificate) {
  certificate.set_parent(state.parent.name);
  CYTOPRESS_ASSIGN_OR_RETURN(v1::Evaluation parent, EvaluateParent(state, "test", done));
  const McNemar comparison = CompareByMcNemar(RightOf(parent), RightOf(test));
  certificate.set_only_parent_right(comparison.only_first_right);
  certificate.set_only_model_right(comparison.only_second_right);
  certificate.set_mcnemar_p_value(comparison.p_value);
  parent.clear_right();
  *certificate.mutable_parent_test() = std::move(parent);
  return absl::OkStatus();
}

void AddLowestRecall(const v1::Evaluation& test, v1::Certificate& certificate) {
  int lowest = -1;  // of equals, the first
  for (int c = 0; c < test.class_recall_size(); ++c) {
    const double recall = test.class_recall(c);
    if (std::isnan(recall)) continue;
    if (lowest < 0 || recall < test.class_recall(lowest)) lowest = c;
  }
  certificate.set_lowest_recall(lowest < 0 ? 1 : test.class_recall(lowest));
  certificate.set_lowest_recall_class(std::max(lowest, 0));
}

}  // namespace

absl::StatusOr<v1::Certificate> Certify(const PipelineState& state, const Artifact& artifact,
                                        const v1::Evaluation& test, const ShareDone& done) {
  v1::Certificate certificate;
  if (!state.parent.name.empty()) {
    CYTOPRESS_RETURN_IF_ERROR(
        CompareWithParent(state, test, PartOf(done, 0, kParentDone), certificate));
  }
  AddLowestRecall(test, certificate);

  v1::Evaluation weights_only = test;
  if (IsInteger(artifact.weights)) {
    CYTOPRESS_ASSIGN_OR_RETURN(weights_only,
                               EvaluateArtifact(artifact, state.dataset, "test",
                                                {at::get_num_threads(), Arithmetic::kFp32},
                                                PartOf(done, kParentDone, kScored)));
  }
  weights_only.clear_right();
  weights_only.clear_auc_low();
  weights_only.clear_auc_high();
  *certificate.mutable_weights_only_test() = std::move(weights_only);

  CYTOPRESS_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, CreateEngine(artifact));
  CYTOPRESS_ASSIGN_OR_RETURN(const double latency,
                             MeasureLatency(*engine, state.dataset, PartOf(done, kScored, 1)));
  certificate.set_latency_seconds(latency);
  certificate.set_processor(ProcessorName());
  certificate.set_engine(engine->name());
  return certificate;
}

}  // namespace cytopress
