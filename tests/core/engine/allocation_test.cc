// What computing allocates once every batch size has been computed: nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/engine/compiled_model.h"
#include "core/engine/dense_model.h"
#include "core/engine/plan.h"
#include "core/engine/plan_engine.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/kernels/emulated_vnni_kernel.h"
#include "tests/replaced_new.h"

namespace cytopress {
namespace {

thread_local int64_t allocations = 0;

}  // namespace

void* Allocate(size_t bytes) {
  ++allocations;
  return AllocateOf(bytes);
}

namespace {

void ExpectNoAllocations(const DenseModel& model, const LayerWays& choice,
                         const BlockKernel& kernel = BestBlockKernel()) {
  PlanEngine engine(std::make_shared<CompiledModel>(model, choice, kernel), /*threads=*/1);
  for (const int count : {1, 8, 32, 33}) {
    const std::vector<uint8_t> pixels = RandomPixels(model.network.spec, count);
    std::vector<float> probabilities(size_t(count) * engine.classes());
    ASSERT_TRUE(engine.Classify(pixels, count, absl::MakeSpan(probabilities)).ok());
    const int64_t before = allocations;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(engine.Classify(pixels, count, absl::MakeSpan(probabilities)).ok());
    }
    EXPECT_EQ(allocations - before, 0) << "in batches of " << count;
  }
}

DenseModel Model(const std::string& architecture, Stem stem, int size, float sparsity) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = stem;
  spec.classes = 8;
  spec.input_height = spec.input_width = size;
  const Artifact artifact =
      RandomArtifact(spec, v1::WEIGHT_TYPE_INT8, /*seed=*/1, {sparsity, /*blocks=*/true});
  return BuildDenseModel(artifact, DenseArithmetic::kInt8).value();
}

TEST(AllocationTest, BlocksAllocateNothing) {
  const DenseModel model = Model("resnet18", Stem::kImagenet, 28, /*sparsity=*/0.8f);
  ASSERT_GT(allocations, 0) << "they are counted";
  ExpectNoAllocations(model, AllInBlocks(model.network));
}

// A small network: plain loops are slow.
TEST(AllocationTest, MatricesAllocateNothing) {
  const DenseModel model = Model("resnet20", Stem::kCifar, 8, /*sparsity=*/0);
  ExpectNoAllocations(model, AllByMatrix(model.network), EmulatedAmxKernel());
  if (AmxBlockKernel() != nullptr) {
    ExpectNoAllocations(model, AllByMatrix(model.network), *AmxBlockKernel());
  }
}

}  // namespace
}  // namespace cytopress
