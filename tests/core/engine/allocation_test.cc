// What computing allocates once every batch size has been computed: nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "core/engine/compiled_model.h"
#include "core/engine/dense_model.h"
#include "core/engine/plan.h"
#include "core/engine/plan_engine.h"
#include "tests/core/engine/random_artifact.h"
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

void ExpectNoAllocations(const DenseModel& model, const LayerWays& choice) {
  PlanEngine engine(std::make_shared<CompiledModel>(model, choice), /*threads=*/1);
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

TEST(AllocationTest, BlocksAndMatricesAllocateNothing) {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.classes = 8;
  const Artifact artifact =
      RandomArtifact(spec, v1::WEIGHT_TYPE_INT8, /*seed=*/1, {/*sparsity=*/0.8f, /*blocks=*/true});
  ASSERT_GT(allocations, 0) << "they are counted";
  const DenseModel model = BuildDenseModel(artifact, DenseArithmetic::kInt8).value();
  ExpectNoAllocations(model, AllInBlocks(model.network));
  if (BestBlockKernel().run_matrix != nullptr) {
    ExpectNoAllocations(model, AllByMatrix(model.network));
  }
}

}  // namespace
}  // namespace cytopress
