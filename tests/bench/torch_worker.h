// LibTorch as a contender, in inference mode.
#ifndef CYTOPRESS_TESTS_BENCH_TORCH_WORKER_H_
#define CYTOPRESS_TESTS_BENCH_TORCH_WORKER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/artifact/artifact.h"
#include "tests/bench/stopwatch.h"

namespace cytopress {

// The child's side of ChildContender: reads lines from standard input until it ends. `model` is one
// of TorchModelNames. `pixels` holds as many images as the largest batch; they are normalized once,
// outside the measured time.
absl::Status RunTorchWorker(const std::string& model, const Artifact& artifact,
                            const std::vector<uint8_t>& pixels, int threads, TimeKind time);

// The file of the BLAS that LibTorch's matrix products go through, which decides its speed at batch
// 1 (its convolutions of a single small image are BLAS calls).
std::string BlasLibrary();

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_TORCH_WORKER_H_
