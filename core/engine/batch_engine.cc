#include "core/engine/batch_engine.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

int64_t ImageBytes(const NetworkSpec& spec) {
  return int64_t{spec.input_channels} * spec.input_height * spec.input_width;
}

}  // namespace

int LargestBatch(const DenseModel& model, const BatchLimits& limits) {
  int64_t largest_map = 0;
  for (size_t i = 0; i < model.network.layers.size(); ++i) {
    const Layer& layer = model.network.layers[i];
    const int64_t values = int64_t{layer.out_channels} * layer.out_height * layer.out_width;
    largest_map =
        std::max(largest_map, values * static_cast<int64_t>(DataTypeBytes(model.grids[i].type)));
  }
  int batch = limits.images;
  while (batch > 1 && batch * largest_map > limits.map_bytes) batch /= 2;
  return batch;
}

ScopedThreads::ScopedThreads(int threads) : before_(omp_get_max_threads()) {
  if (threads != before_) omp_set_num_threads(threads);
}

ScopedThreads::~ScopedThreads() {
  if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
}

BatchEngine::BatchEngine(std::shared_ptr<const DenseModel> model, int threads,
                         const BatchLimits& limits)
    : model_(std::move(model)),
      threads_(threads),
      image_bytes_(ImageBytes(model_->network.spec)),
      largest_batch_(LargestBatch(*model_, limits)) {}

absl::Status BatchEngine::Classify(absl::Span<const uint8_t> pixels, int count,
                                   absl::Span<float> probabilities) {
  if (count < 1) {
    return absl::InvalidArgumentError(absl::StrCat("count: ", count, " images; give at least 1"));
  }
  if (static_cast<int64_t>(pixels.size()) != count * image_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("pixels: ", pixels.size(), " bytes for ", count,
                                                   " images; the network takes ", image_bytes_,
                                                   " bytes an image"));
  }
  if (static_cast<int64_t>(probabilities.size()) != int64_t{count} * classes()) {
    return absl::InvalidArgumentError(absl::StrCat("probabilities: room for ", probabilities.size(),
                                                   " values; ", count, " images have ",
                                                   int64_t{count} * classes()));
  }
  const ScopedThreads scope(threads_);
  try {
    for (int done = 0; done < count;) {
      const int batch = NextBatch(count - done, largest_batch_);
      const int next = std::min(count - done, batch);
      ClassifyBatch(pixels.data() + done * image_bytes_, next, batch,
                    probabilities.data() + int64_t{done} * classes());
      done += next;
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the network's activations");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(name(), " failed: ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace cytopress
