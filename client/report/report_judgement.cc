#include "client/report/report_judgement.h"

#include <algorithm>

#include "client/report/verdict.h"
#include "core/dataset/class_names.h"
#include "core/evaluation/evaluation.h"
#include "core/registry/model_registry.h"

namespace cytopress {

double ValidationAccuracy(const v1::Model& model) {
  const v1::Evaluation* validation = EvaluationOn(model, "val");
  return validation == nullptr ? 0 : validation->accuracy();
}

std::string ParentOf(const v1::Model& model) {
  const v1::Certificate& certificate = model.certificate();
  return certificate.has_parent_test() ? certificate.parent() : std::string();
}

std::vector<std::string> Different(const ReportData& data,
                                   absl::FunctionRef<std::string(const v1::Model&)> of) {
  std::vector<std::string> found;
  const auto add = [&](const v1::Model& model) {
    const std::string value = of(model);
    if (!value.empty() && std::find(found.begin(), found.end(), value) == found.end()) {
      found.push_back(value);
    }
  };
  if (data.dense.has_value()) add(*data.dense);
  for (const ReportCell& cell : data.cells) {
    if (cell.model.has_value()) add(*cell.model);
  }
  return found;
}

const v1::Model* AnyModel(const ReportData& data) {
  if (data.dense.has_value()) return &*data.dense;
  for (const ReportCell& cell : data.cells) {
    if (cell.model.has_value()) return &*cell.model;
  }
  return nullptr;
}

bool HaveOneDataset(const ReportData& data) {
  const auto dataset = [](const v1::Model& model) { return model.provenance().dataset_hash(); };
  return Different(data, dataset).size() < 2;
}

bool HaveOneProcessor(const ReportData& data) {
  const auto processor = [](const v1::Model& model) { return model.certificate().processor(); };
  return Different(data, processor).size() < 2;
}

bool DenseIsAtChance(const ReportData& data) {
  if (data.dense.has_value() && EvaluationOn(*data.dense, "val") != nullptr) {
    return IsAtChance(*EvaluationOn(*data.dense, "val"));
  }
  bool any = false;
  for (const ReportCell& cell : data.cells) {
    if (!cell.model.has_value() || !cell.model->has_certificate()) continue;
    any = true;
    if (CompareWithParent(cell.model->certificate()) != Comparison::kNotJudged) return false;
  }
  return any;
}

bool IsLikeThePaper(const ReportData& data) {
  // Whatever its classes are called here.
  const bool official = data.identity == DataIdentity::kOfficial && HaveOneDataset(data);
  const std::vector<std::string> classes = BloodMnistClassNames();
  const auto is_like_it = [&](const v1::Model& model) {
    return model.network().architecture() == "resnet50" && !model.provenance().synthetic_data() &&
           (official || std::equal(classes.begin(), classes.end(), model.class_names().begin(),
                                   model.class_names().end()));
  };
  return AnyModel(data) != nullptr && (!data.dense.has_value() || is_like_it(*data.dense)) &&
         std::all_of(data.cells.begin(), data.cells.end(), [&](const ReportCell& cell) {
           return !cell.model.has_value() || is_like_it(*cell.model);
         });
}

const ReportCell* SmallestLossless(const ReportData& data) {
  if (DenseIsAtChance(data)) return nullptr;
  if (!data.dense.has_value() || ValidationAccuracy(*data.dense) <= 0) return nullptr;
  const double dense = ValidationAccuracy(*data.dense);
  const std::string dense_name = ToString(*data.dense);
  const ReportCell* smallest = nullptr;
  for (const ReportCell& cell : data.cells) {
    if (!cell.model.has_value() || cell.model->size().disk_bytes() <= 0) continue;
    if (cell.model->provenance().dataset_hash() != data.dense->provenance().dataset_hash()) {
      continue;
    }
    // What it lost is of its own parent's accuracy, which may be far from this one's.
    const std::string parent = ParentOf(*cell.model);
    if (!parent.empty() && parent != dense_name) continue;
    if (!IsWithin(dense - ValidationAccuracy(*cell.model), kLosslessDrop)) continue;
    if (smallest == nullptr ||
        cell.model->size().disk_bytes() < smallest->model->size().disk_bytes()) {
      smallest = &cell;
    }
  }
  return smallest;
}

}  // namespace cytopress
