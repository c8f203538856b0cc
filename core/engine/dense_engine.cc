#include "core/engine/dense_engine.h"

#include <omp.h>

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

constexpr int kLargestBatch = 32;
// Large images are computed in smaller batches, so that no map of a batch exceeds this.
constexpr int64_t kLargestMapBytes = int64_t{64} << 20;

// OpenMP's number of threads for this thread's parallel regions, put back on destruction.
class ScopedThreads {
 public:
  explicit ScopedThreads(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
  }
  ~ScopedThreads() {
    if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
  }
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;

 private:
  const int before_;
};

int64_t ImageBytes(const NetworkSpec& spec) {
  return int64_t{spec.input_channels} * spec.input_height * spec.input_width;
}

int LargestBatch(const DenseModel& model) {
  int64_t largest_map = 0;
  for (size_t i = 0; i < model.network.layers.size(); ++i) {
    const Layer& layer = model.network.layers[i];
    const int64_t values = int64_t{layer.out_channels} * layer.out_height * layer.out_width;
    largest_map =
        std::max(largest_map, values * static_cast<int64_t>(NumberBytes(model.grids[i].number)));
  }
  int batch = kLargestBatch;
  while (batch > 1 && batch * largest_map > kLargestMapBytes) batch /= 2;
  return batch;
}

}  // namespace

int NextBatch(int remaining, int largest) {
  int batch = 1;
  while (batch * 2 <= std::min(remaining, largest)) batch *= 2;
  // Three quarters full is full enough.
  if (batch < largest && 2 * remaining >= 3 * batch) return 2 * batch;
  return batch;
}

DenseEngine::DenseEngine(DenseModel model, int threads)
    : model_(std::move(model)),
      threads_(threads),
      image_bytes_(ImageBytes(model_.network.spec)),
      largest_batch_(LargestBatch(model_)),
      packed_(PackModel(model_)),
      stream_(CpuEngine()) {
  const ScopedThreads scope(threads_);
  PlanFor(1);
}

std::string DenseEngine::name() const {
  switch (model_.arithmetic) {
    case DenseArithmetic::kInt8:
      return "onednn-int8";
    case DenseArithmetic::kEmulatedInt8:
      return "onednn-int8-emulated";
    case DenseArithmetic::kFp32:
      break;
  }
  return "onednn-fp32";
}

DensePlan& DenseEngine::PlanFor(int batch) {
  std::unique_ptr<DensePlan>& plan = plans_[batch];
  if (plan == nullptr) plan = std::make_unique<DensePlan>(model_, packed_, batch);
  arena_.Reserve(plan->arena_bytes());
  return *plan;
}

void DenseEngine::FillInput(const uint8_t* pixels, int count, int batch, uint8_t* input) const {
  const int channels = model_.network.spec.input_channels;
  const auto fill = [&](const auto& table, auto* values) {
    const int64_t used = count * image_bytes_;
    for (int64_t i = 0; i < used; i += channels) {
      for (int c = 0; c < channels; ++c) values[i + c] = table[256 * c + pixels[i + c]];
    }
    std::fill(values + used, values + batch * image_bytes_, 0);
  };
  if (model_.grids[0].number == Number::kInt8) {
    fill(model_.integer_input, reinterpret_cast<int8_t*>(input));
  } else {
    fill(model_.float_input, reinterpret_cast<float*>(input));
  }
}

void DenseEngine::ClassifyBatch(const uint8_t* pixels, int count, float* probabilities) {
  DensePlan& plan = PlanFor(NextBatch(count, largest_batch_));
  FillInput(pixels, count, plan.batch(), arena_.data() + plan.input_offset());
  plan.Run(arena_, stream_);
  const Layer& map = model_.network.layers[plan.output_layer()];
  const OutputGrid& grid = model_.grids[plan.output_layer()];
  const int positions = map.out_height * map.out_width;
  const uint8_t* output = arena_.data() + plan.output_offset();
  const int64_t values = int64_t{positions} * map.out_channels;
  for (int i = 0; i < count; ++i) {
    float* scores = probabilities + int64_t{i} * classes();
    if (grid.number == Number::kUint8) {
      model_.classifier.Classify(output + i * values, positions, grid.step, scores);
    } else {
      model_.classifier.Classify(reinterpret_cast<const float*>(output) + i * values, positions,
                                 scores);
    }
  }
}

absl::Status DenseEngine::Classify(absl::Span<const uint8_t> pixels, int count,
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
      const int next = std::min(count - done, NextBatch(count - done, largest_batch_));
      ClassifyBatch(pixels.data() + done * image_bytes_, next,
                    probabilities.data() + int64_t{done} * classes());
      done += next;
    }
  } catch (const dnnl::error& error) {
    return absl::InternalError(absl::StrCat("oneDNN failed: ", error.what()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the network's activations");
  }
  return absl::OkStatus();
}

}  // namespace cytopress
