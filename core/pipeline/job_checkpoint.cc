#include "core/pipeline/job_checkpoint.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr size_t kScoreNumbers = 6;
constexpr size_t kGoalNumbers = 4;
constexpr double kNever = -1;  // no try was out of time

template <typename T>
torch::Tensor ToTensor(const std::vector<T>& values) {
  return torch::tensor(values, c10::CppTypeToScalarType<T>::value);
}

torch::Tensor ToTensor(const std::string& text) {
  return ToTensor(std::vector<uint8_t>(text.begin(), text.end()));
}

template <typename T>
absl::StatusOr<std::vector<T>> Values(const TensorTable& table, const std::string& key) {
  const auto it = table.find(key);
  if (it == table.end() || it->second.scalar_type() != c10::CppTypeToScalarType<T>::value) {
    return absl::DataLossError(absl::StrCat("the checkpoint has no ", key, " of the right kind"));
  }
  const torch::Tensor plain = it->second.cpu().contiguous();
  return std::vector<T>(plain.data_ptr<T>(), plain.data_ptr<T>() + plain.numel());
}

template <typename T>
absl::StatusOr<std::vector<T>> Values(const TensorTable& table, const std::string& key,
                                      size_t count) {
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<T> values, Values<T>(table, key));
  if (values.size() == count) return values;
  return absl::DataLossError(
      absl::StrCat("the checkpoint has ", values.size(), " numbers in ", key, ", not ", count));
}

absl::StatusOr<std::string> Text(const TensorTable& table, const std::string& key) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, Values<uint8_t>(table, key));
  return std::string(bytes.begin(), bytes.end());
}

void PutScore(const Score& score, TensorTable& table) {
  table["dense"] =
      ToTensor<double>({score.accuracy, score.auc, static_cast<double>(score.answer),
                        score.answer_share, score.class_share, static_cast<double>(score.missed)});
  std::vector<int64_t> counts;
  for (const ClassRecall& own : score.by_class) {
    counts.push_back(own.right);
    counts.push_back(own.images);
  }
  table["dense_classes"] = ToTensor(counts);
}

absl::StatusOr<Score> TakeScore(const TensorTable& table) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<double> numbers,
                             Values<double>(table, "dense", kScoreNumbers));
  Score score{numbers[0], numbers[1], static_cast<int>(numbers[2]),
              numbers[3], numbers[4], static_cast<int>(numbers[5]),
              {}};
  if (table.count("dense_classes") == 0) return score;  // not in checkpoints of earlier releases
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int64_t> counts,
                             Values<int64_t>(table, "dense_classes"));
  if (counts.size() % 2 != 0) {
    return absl::DataLossError(absl::StrCat("the checkpoint has ", counts.size(),
                                            " numbers in dense_classes, not two a class"));
  }
  for (size_t i = 0; i < counts.size(); i += 2) {
    score.by_class.push_back({counts[i], counts[i + 1]});
  }
  return score;
}

void PutGoal(const GoalProgress& goal, TensorTable& table) {
  table["goal"] = ToTensor<double>(
      {absl::ToDoubleSeconds(goal.spent), absl::ToDoubleSeconds(goal.longest_try),
       goal.out_of_time_at ? static_cast<double>(*goal.out_of_time_at) : kNever, goal.least_bytes});
  table["goal_epochs"] = ToTensor<int64_t>({goal.epochs});
}

absl::StatusOr<GoalProgress> TakeGoal(const TensorTable& table) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<double> numbers,
                             Values<double>(table, "goal", kGoalNumbers));
  GoalProgress goal;
  goal.spent = absl::Seconds(numbers[0]);
  goal.longest_try = absl::Seconds(numbers[1]);
  if (numbers[2] >= 0) goal.out_of_time_at = static_cast<size_t>(numbers[2]);
  goal.least_bytes = numbers[3];
  if (table.count("goal_epochs") != 0) {  // not in checkpoints of earlier releases
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int64_t> epochs,
                               Values<int64_t>(table, "goal_epochs", 1));
    goal.epochs = static_cast<int>(epochs[0]);
  }
  return goal;
}

void PutGrids(const WeightGrids& grids, TensorTable& table) {
  for (const auto& [name, grid] : grids) {
    table["scales/" + name] = ToTensor(grid.scales);
    table["group_size/" + name] = ToTensor<int64_t>({grid.group_size});
    table["multipliers/" + name] =
        ToTensor(std::vector<int>(grid.multipliers.begin(), grid.multipliers.end()));
  }
}

absl::StatusOr<WeightGrids> TakeGrids(const TensorTable& table, const TensorTable& network) {
  WeightGrids grids;
  for (const auto& [name, tensor] : network) {
    if (table.count("scales/" + name) == 0) continue;
    WeightGrid& grid = grids[name];
    CYTOPRESS_ASSIGN_OR_RETURN(grid.scales, Values<float>(table, "scales/" + name));
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int64_t> group_size,
                               Values<int64_t>(table, "group_size/" + name, 1));
    grid.group_size = group_size[0];
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int> multipliers,
                               Values<int>(table, "multipliers/" + name));
    grid.multipliers.assign(multipliers.begin(), multipliers.end());
  }
  return grids;
}

absl::StatusOr<Masks> TakeMasks(const TensorTable& table, const TensorTable& network,
                                const torch::Device& device) {
  Masks masks;
  for (const auto& [name, tensor] : network) {
    const auto mask = table.find("mask/" + name);
    if (mask == table.end()) continue;
    if (mask->second.sizes() != tensor.sizes()) {
      return absl::DataLossError(absl::StrCat("the checkpoint's mask/", name, " is misshapen"));
    }
    masks[name] = mask->second.to(device);
  }
  return masks;
}

absl::StatusOr<std::vector<v1::LedgerEntry>> TakeLedger(const TensorTable& table) {
  std::vector<v1::LedgerEntry> ledger;
  for (size_t i = 0; table.count(absl::StrCat("ledger/", i)) != 0; ++i) {
    const std::string key = absl::StrCat("ledger/", i);
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string line, Text(table, key));
    if (!ledger.emplace_back().ParseFromString(line)) {
      return absl::DataLossError(absl::StrCat("the checkpoint's ", key, " is no line of a ledger"));
    }
  }
  return ledger;
}

}  // namespace

void PutState(size_t next_stage, const PipelineState& state, TensorTable& table) {
  table["stage"] = ToTensor<int64_t>({static_cast<int64_t>(next_stage)});
  table["dataset"] = ToTensor(state.dataset.content_hash);
  PutAll("network/", state.network->tensors(), table);
  PutAll("mask/", state.masks, table);
  PutGrids(state.frozen_grids, table);
  PutScore(state.parent.score, table);
  PutGoal(state.goal, table);
  table["published"] = ToTensor(state.published);
  table["published_parent"] = ToTensor(state.parent.published);
  for (size_t i = 0; i < state.ledger.size(); ++i) {
    table[absl::StrCat("ledger/", i)] = ToTensor(state.ledger[i].SerializeAsString());
  }
}

absl::StatusOr<size_t> TakeState(const TensorTable& table, PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string dataset, Text(table, "dataset"));
  if (dataset != state.dataset.content_hash) {
    return absl::FailedPreconditionError(absl::StrCat(
        "dataset.uri: the data at ", state.spec.dataset().uri(),
        " have changed since the job began; submit it again to begin with them as they are now"));
  }
  const TensorTable network = state.network->tensors();
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int64_t> stage, Values<int64_t>(table, "stage", 1));
  CYTOPRESS_ASSIGN_OR_RETURN(Masks masks, TakeMasks(table, network, state.device));
  CYTOPRESS_ASSIGN_OR_RETURN(WeightGrids grids, TakeGrids(table, network));
  CYTOPRESS_ASSIGN_OR_RETURN(const Score dense, TakeScore(table));
  CYTOPRESS_ASSIGN_OR_RETURN(const GoalProgress goal, TakeGoal(table));
  CYTOPRESS_ASSIGN_OR_RETURN(std::string published, Text(table, "published"));
  CYTOPRESS_ASSIGN_OR_RETURN(std::string published_parent, Text(table, "published_parent"));
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<v1::LedgerEntry> ledger, TakeLedger(table));
  CYTOPRESS_RETURN_IF_ERROR(GetAll("network/", table, network));
  state.masks = std::move(masks);
  state.frozen_grids = std::move(grids);
  state.parent.score = dense;
  state.goal = goal;
  state.published = std::move(published);
  state.parent.published = std::move(published_parent);
  if (!state.parent.published.empty()) state.parent.name = state.parent.published;
  if (!ledger.empty()) state.ledger = std::move(ledger);  // has the line of loading, too
  return static_cast<size_t>(stage[0]);
}

std::string NestedOrigin(const std::string& stage, const PipelineState& state) {
  Sha256 digest;
  digest.Update(absl::StrCat(stage, "\n", state.try_plan, "\n", state.dataset.content_hash, "\n"));
  for (const auto& [name, tensor] : state.network->tensors()) {
    const torch::Tensor plain = tensor.detach().to(torch::kCPU).contiguous();
    digest.Update(absl::string_view(static_cast<const char*>(plain.data_ptr()),
                                    static_cast<size_t>(plain.numel() * plain.element_size())));
  }
  return digest.Finish();
}

void PutNested(const std::string& origin, const PipelineState& state, TensorTable& table) {
  table["origin"] = ToTensor(origin);
  PutAll("mask/", state.masks, table);
  PutGrids(state.frozen_grids, table);
}

absl::Status TakeNested(const std::string& origin, const TensorTable& table, PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string saved, Text(table, "origin"));
  if (saved != origin) {
    return absl::DataLossError(
        "the checkpoint is of another try or cell, of another plan for the layers, of other data, "
        "or began from another network");
  }
  const TensorTable network = state.network->tensors();
  CYTOPRESS_ASSIGN_OR_RETURN(Masks masks, TakeMasks(table, network, state.device));
  CYTOPRESS_ASSIGN_OR_RETURN(WeightGrids grids, TakeGrids(table, network));
  state.masks = std::move(masks);
  state.frozen_grids = std::move(grids);
  return absl::OkStatus();
}

}  // namespace cytopress
