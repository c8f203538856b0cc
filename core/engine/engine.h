// Runs a model from its artifact. No LibTorch.
#ifndef CYTOPRESS_CORE_ENGINE_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/artifact/artifact.h"

namespace cytopress {

// One loaded model, ready to compute. Thread-compatible: one call at a time; each thread that
// computes needs an engine of its own, which Clone makes.
class Engine {
 public:
  virtual ~Engine() = default;

  // pixels: uint8 [count, height, width, channels] as Preprocess makes them. probabilities: [count,
  // classes], filled with the softmax. Any count; more than preferred_batch() are computed in
  // turns. The same image gets the same probabilities alone and in any batch: exactly in INT8, to
  // 1e-6 in FP32, to about 1e-2 in BF16. The first call with a new batch size compiles a plan for
  // it (up to a few hundred milliseconds), so warm up with the powers of two up to
  // preferred_batch(). INVALID_ARGUMENT for sizes that do not fit; UNAVAILABLE when the device is
  // lost to this process, which only another one can use again.
  virtual absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                                absl::Span<float> probabilities) = 0;

  // One more engine of the same model, with which it shares all that does not change: it takes
  // little more memory than a batch's activations, and loads at once. Not beside other calls of
  // this engine; afterwards both compute side by side, and live as long as each wants.
  virtual absl::StatusOr<std::unique_ptr<Engine>> Clone() = 0;

  // Of a CPU engine one of these:
  // - "onednn-fp32", "onednn-bf16", "onednn-int8": oneDNN computes all layers.
  // - "block-int8-K": the block kernel K (block_kernel.h) computes all convolutions.
  // - "mixed-int8-K": K computes some convolutions, oneDNN the others.
  //
  // K is "avx512vnni", "avxvnni", "avx2" or "portable"; or "amx", which is "avx512vnni" where some
  // layers are multiplied as matrices by AMX.
  //
  // The INT8 engines are equal but for values near the middle of two quantization steps (up to a
  // sixteenth of a step from it, or 1/128 of a residual's step, where that is more: the block
  // kernels' bias may be off by that); all of the block engines are equal. A file is computed alike
  // on all CPUs of a kind.
  virtual std::string name() const = 0;
  virtual int classes() const = 0;
  virtual int64_t image_bytes() const = 0;
  virtual int preferred_batch() const = 0;  // the largest batch that is computed in one go
};

enum class Arithmetic {
  kAuto,  // INT8 for INT8 and INT4 weights, else FP32
  kFp32,  // the reference path, for any artifact
  kBf16,  // FP32's range with 8 bits of precision, for any artifact; needs AVX512-BF16
  kInt8,  // needs integer weights and activation ranges
};

struct EngineOptions {
  Arithmetic arithmetic = Arithmetic::kAuto;
  bool prefer_bf16 = false;  // for kAuto: BF16 in place of FP32 where this CPU has it
  int threads = 1;           // OpenMP threads of one call
};

// FAILED_PRECONDITION names what the artifact or the CPU lacks for the wanted arithmetic.
absl::StatusOr<std::unique_ptr<Engine>> CreateEngine(const Artifact& artifact,
                                                     const EngineOptions& options = {});

// The batch size in which engines compute the next images where `remaining` are left: a power of
// two up to `largest`, their preferred batch. It may be greater than `remaining`, where computing a
// few images for nothing is cheaper than another pass over all weights.
int NextBatch(int remaining, int largest);

// Of the library that computes dense models, such as "2.6.0".
std::string OneDnnVersion();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_ENGINE_H_
