// The flags of `compress` and the request that they make.
#ifndef CYTOPRESS_CLIENT_CLI_COMPRESS_REQUEST_H_
#define CYTOPRESS_CLIENT_CLI_COMPRESS_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cytopress/v1/jobs.pb.h"

namespace cytopress {

// Unset: as the recipe says, or the service's default.
struct CompressFlags {
  std::string name;
  std::string dataset;
  std::vector<std::string> class_names;
  std::optional<uint64_t> dataset_seed;
  std::string base;
  std::string recipe;       // "" = lossless
  std::string recipe_file;  // replaces `recipe`
  std::string architecture;
  std::string stem;
  std::optional<int> image_size;  // pixels a side
  std::optional<int> epochs;
  std::optional<int> finetune_epochs;  // 0 leaves fine-tuning out
  std::optional<double> sparsity;      // 0 leaves pruning out
  bool sweeps = false;                 // a sweep says the sparsities
  std::string weights;
  std::optional<double> learning_rate;  // of training; of fine-tuning when there is a base
  std::optional<int> batch_size;
  std::optional<uint64_t> seed;       // of the recipe
  std::optional<int64_t> max_images;  // in training and in fine-tuning
  std::optional<double> ema_decay;    // in training and in fine-tuning
  std::string prune_method;
  std::string pattern;
  std::optional<double> gradual;  // share of fine-tuning; 0 = at once
  std::optional<double> finetune_learning_rate;
  std::optional<double> distillation;  // in fine-tuning and in quantization-aware training
  std::string weight_range;
  std::optional<double> weight_percentile;  // as the next one, for that range only
  std::string activation_range;
  std::optional<double> activation_percentile;
  std::string rounding;
  std::optional<int> calibration_images;
  std::optional<int> group_size;  // of INT4; 0 = none
  std::optional<bool> per_tensor_scales;
  std::optional<int> aware_epochs;            // 0 leaves quantization-aware training out
  std::optional<bool> freeze_batch_norm;      // in fine-tuning
  std::optional<bool> reestimate_batch_norm;  // after fine-tuning and after rounding
  std::optional<bool> reduced_range;
  std::optional<bool> temperature_scaling;
  std::string on_collapse;
  std::string device;
  std::optional<double> max_accuracy_drop;
  // A goal, which asks for a search (Goal in job.proto): any of these four makes the job one.
  std::optional<double> max_bytes;
  std::optional<double> max_latency_ms;
  std::optional<double> time_budget_seconds;
  std::optional<int> max_tries;
  std::string request_id;
};

// INVALID_ARGUMENT for flags that contradict each other, for one about a stage that the job does
// not have, and for a recipe file that is no Recipe; NOT_FOUND for a recipe, file or relative data
// set that is not there. The service checks the rest.
absl::StatusOr<v1::CompressRequest> BuildCompressRequest(const CompressFlags& flags);

// The data set as the worker has to be told of it: it opens it in another folder than this
// program's. NOT_FOUND for a relative path that is not there.
absl::StatusOr<std::string> AbsoluteDataset(const std::string& uri);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_COMPRESS_REQUEST_H_
