// How the next try or sparsity begins.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/pipeline/base_model.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

class RestartStage : public Stage {
 public:
  explicit RestartStage(std::string name) : name_(std::move(name)) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_RESTART; }
  std::string name() const override { return name_; }
  double Cost(const PipelineState& state) const override { return 100; }
  bool skipped_on_resume() const override { return true; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ReadParent(state));
    CYTOPRESS_RETURN_IF_ERROR(TakeWeights(artifact, state));
    state.masks.clear();
    // What follows is not made from them.
    const auto is_undone = [](const v1::LedgerEntry& line) {
      return line.kind() == v1::STAGE_KIND_PRUNE || line.kind() == v1::STAGE_KIND_FINE_TUNE ||
             line.kind() == v1::STAGE_KIND_RESTART;
    };
    state.ledger.erase(std::find_if(state.ledger.begin(), state.ledger.end(), is_undone),
                       state.ledger.end());
    StageOutcome outcome;
    outcome.score = state.parent.score;
    CYTOPRESS_RETURN_IF_ERROR(AddBytesOfParent(state, outcome));
    outcome.note = absl::StrCat("from ", state.parent.name, " again");
    return outcome;
  }

 private:
  const std::string name_;
};

}  // namespace

std::unique_ptr<Stage> MakeRestartStage(const std::string& name) {
  return std::make_unique<RestartStage>(name);
}

}  // namespace cytopress
