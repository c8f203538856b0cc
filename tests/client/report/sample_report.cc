#include "tests/client/report/sample_report.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/dataset/class_names.h"
#include "core/evaluation/evaluation.h"
#include "core/jobs/model_names.h"

namespace cytopress {
namespace {

constexpr int kClasses = 8;
constexpr int kTestCounts[kClasses] = {244, 624, 311, 579, 243, 284, 666, 470};

// Errors spread over the neighbouring classes until `accuracy` is reached.
v1::Evaluation MakeEvaluation(const char* split, double accuracy, double auc, bool collapsed) {
  v1::Evaluation evaluation;
  evaluation.set_split(split);
  evaluation.set_auc(auc);
  evaluation.set_engine("onednn-int8");
  int64_t right = 0, images = 0;
  for (int truth = 0; truth < kClasses; ++truth) {
    const int wrong =
        collapsed ? 0 : static_cast<int>(std::lround(kTestCounts[truth] * (1 - accuracy)));
    for (int answer = 0; answer < kClasses; ++answer) {
      int count = 0;
      if (collapsed) {
        count = answer == 1 ? kTestCounts[truth] : 0;
      } else if (answer == truth) {
        count = kTestCounts[truth] - wrong;
      } else if (answer == (truth + 1) % kClasses) {
        count = wrong - wrong / 3;
      } else if (answer == (truth + 3) % kClasses) {
        count = wrong / 3;
      }
      if (answer == truth) right += count;
      images += count;
      evaluation.add_confusion(count);
    }
    evaluation.add_class_recall(
        static_cast<double>(evaluation.confusion(truth * kClasses + truth)) / kTestCounts[truth]);
  }
  evaluation.set_images(images);
  evaluation.set_accuracy(static_cast<double>(right) / static_cast<double>(images));
  evaluation.set_accuracy_low(evaluation.accuracy() - 0.0061);
  evaluation.set_accuracy_high(evaluation.accuracy() + 0.0054);
  evaluation.set_auc_low(auc - 0.0008);
  evaluation.set_auc_high(auc + 0.0006);
  evaluation.set_expected_calibration_error(0.041);
  return evaluation;
}

void AddLedger(double accuracy, double sparsity, const std::string& guard, v1::Model* model) {
  for (const char* stage : {"load", "fine-tune 80 %", "quantize", "package", "evaluate"}) {
    v1::LedgerEntry* line = model->add_ledger();
    line->set_stage(stage);
    line->set_seconds(stage[0] == 'f' ? 812 : 4.2);
    line->set_sparsity(sparsity);
    line->set_dense_bytes(94100000);
    if (stage[0] != 'p') {
      line->set_validation_accuracy(accuracy);
      line->set_validation_auc(0.998);
    } else {
      line->set_packed_bytes(11800000);
      line->set_disk_bytes(model->size().disk_bytes());
    }
    line->set_note("what the stage did, in words");
  }
  v1::LedgerEntry& last = *model->mutable_ledger()->rbegin();
  last.set_guard(guard);
  if (!guard.empty()) last.set_verdict(v1::GUARD_VERDICT_COLLAPSED);
}

v1::Model MakeModel(const std::string& name, double sparsity, v1::WeightType weights,
                    double accuracy, int64_t bytes) {
  const bool collapsed = accuracy < 0.5;
  v1::Model model;
  model.set_name(name);
  model.set_version(1);
  model.set_weights(weights);
  model.set_sha256(std::string(64, 'a'));
  model.mutable_network()->set_architecture("resnet50");
  model.mutable_network()->set_input_width(28);
  model.mutable_network()->set_input_height(28);
  for (const std::string& name : BloodMnistClassNames()) model.add_class_names(name);
  model.mutable_size()->set_dense_bytes(94100000);
  model.mutable_size()->set_disk_bytes(bytes);
  model.mutable_size()->set_sparsity(sparsity);
  *model.add_evaluations() = MakeEvaluation("val", accuracy + 0.002, 0.9981, collapsed);
  *model.add_evaluations() =
      MakeEvaluation("test", accuracy, collapsed ? 0.5622 : 0.9983, collapsed);
  AddLedger(accuracy, sparsity,
            collapsed ? "collapsed: 100 % of the answers are 'eosinophil' (validation accuracy "
                        "0.1824, 0.7866 below the dense model)"
                      : "",
            &model);
  v1::Provenance* provenance = model.mutable_provenance();
  provenance->set_job_id("6b1f6a0e");
  provenance->set_parent("blood-dense@1");
  provenance->set_dataset_name("invented");
  provenance->set_dataset_hash(std::string(64, 'd'));
  provenance->mutable_spec()->mutable_recipe()->set_name("lossless");
  (*provenance->mutable_versions())["libtorch"] = "1.13.0";
  (*provenance->mutable_versions())["cytopress"] = "0.1.0";
  provenance->set_processor("A processor (avx2)");
  provenance->set_threads(2);
  return model;
}

double PValue(int only_first, int only_second) {
  std::vector<bool> first(only_first, true), second(only_first, false);
  first.resize(only_first + only_second, false);
  second.resize(only_first + only_second, true);
  return CompareByMcNemar(first, second).p_value;
}

void Certify(const v1::Model& dense, double latency, v1::Model* model) {
  const v1::Evaluation& test = model->evaluations(1);
  const v1::Evaluation& parent = dense.evaluations(1);
  v1::Certificate* certificate = model->mutable_certificate();
  certificate->set_parent("blood-dense@1");
  *certificate->mutable_parent_test() = parent;
  const int lost = static_cast<int>(std::lround(3421 * (parent.accuracy() - test.accuracy())));
  certificate->set_only_parent_right(20 + std::max(lost, 0));
  certificate->set_only_model_right(20 + std::max(-lost, 0));
  certificate->set_mcnemar_p_value(PValue(static_cast<int>(certificate->only_parent_right()),
                                          static_cast<int>(certificate->only_model_right())));
  certificate->set_lowest_recall_class(3);
  certificate->set_lowest_recall(test.class_recall(3));
  *certificate->mutable_weights_only_test() = test;
  certificate->set_latency_seconds(latency);
  certificate->set_processor("A processor (avx2)");
  certificate->set_engine("onednn-int8");
}

struct Column {
  v1::WeightType weights;
  double bytes_per_weight;
  double loss;
  double latency;
};

}  // namespace

ReportData SampleReport() {
  ReportData data;
  data.title = "blood";
  data.made = "2001-02-03 04:05";
  data.dense = MakeModel("blood-dense", 0, v1::WEIGHT_TYPE_FP16, 0.9712, 43600000);
  data.class_names.assign(data.dense->class_names().begin(), data.dense->class_names().end());
  data.identity = DataIdentity::kOther;
  data.splits = {{"train", {852, 2181, 1085, 2026, 849, 993, 2330, 1643}},
                 {"val", {122, 312, 155, 290, 122, 143, 333, 235}},
                 {"test", {std::begin(kTestCounts), std::end(kTestCounts)}}};
  constexpr Column kColumns[] = {{v1::WEIGHT_TYPE_FP16, 1.9, 0, 0.0083},
                                 {v1::WEIGHT_TYPE_INT8, 0.9, 0.0004, 0.0041},
                                 {v1::WEIGHT_TYPE_INT4, 0.46, 0.0026, 0.0044}};
  for (const double sparsity : {0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98}) {
    for (const Column& column : kColumns) {
      ReportCell cell;
      cell.sparsity = sparsity;
      cell.weights = column.weights;
      cell.name = SweepModelName("blood", sparsity, column.weights);
      const bool broken = sparsity == 0.98 && column.weights == v1::WEIGHT_TYPE_INT4;
      if (sparsity == 0.98 && column.weights == v1::WEIGHT_TYPE_INT8) {
        cell.missing = "open";
      } else {
        const double accuracy =
            0.9712 + 0.004 * sparsity - 0.03 * std::pow(sparsity, 10) - column.loss;
        const double bytes = 23.5e6 * (column.bytes_per_weight * (1 - sparsity) + 0.12);
        cell.model = MakeModel(cell.name, sparsity, column.weights, broken ? 0.1824 : accuracy,
                               static_cast<int64_t>(bytes));
        Certify(*data.dense, column.latency * (1 - 0.3 * sparsity), &*cell.model);
      }
      data.cells.push_back(std::move(cell));
    }
  }
  v1::Job job;
  job.set_id("6b1f6a0e");
  job.set_state(v1::JOB_STATE_RUNNING);
  job.mutable_progress()->set_fraction(0.93);
  job.mutable_progress()->set_eta_seconds(420);
  for (const ReportCell& cell : data.cells) {
    if (cell.model.has_value()) job.mutable_ledger()->MergeFrom(cell.model->ledger());
  }
  data.jobs.push_back(std::move(job));
  data.commands = {
      "cytopress reproduce blood-s80-int4@1",
      "cytopress sweep --name blood --dataset invented.npz --recipe-file recipe-blood.json"};
  data.recipes = {{"recipe-blood.json", "{\n  \"name\": \"lossless\"\n}"}};
  return data;
}

}  // namespace cytopress
