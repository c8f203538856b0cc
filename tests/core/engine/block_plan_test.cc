// Networks of random shapes and weights on every kernel, against plain loops, byte for byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "core/engine/plan.h"
#include "tests/core/kernels/emulated_avxvnni_kernel.h"
#include "tests/core/kernels/emulated_vnni_kernel.h"
#include "tests/core/kernels/reference.h"

namespace cytopress {
namespace {

using Map = std::vector<int>;  // stored values of one image, NHWC

struct Shape {
  int height;
  int width;
  int channels;  // of the image
  int stem_kernel;
  int stem_stride;
  bool pool;
  int stride;  // of the block in the middle
  float sparsity;
  int largest_weight;
  int widen = 1;           // all layers' channels but the image's, times so many
  bool overflows = false;  // layers without ReLU: their outputs, by far
};

struct TestNetwork {
  DenseModel model;
  std::vector<Convolution> original;  // before Simplify
};

class NetworkMaker {
 public:
  explicit NetworkMaker(const Shape& shape) : shape_(shape), random_(7) {}

  // A stem and three blocks as ResNets have them: with a stride, downsampled; plain; bottleneck.
  TestNetwork Make() {
    Layer input;
    input.op = Op::kInput;
    input.out_channels = shape_.channels;
    input.out_height = shape_.height;
    input.out_width = shape_.width;
    Append(input);
    int last = AddConv(0, 8, shape_.stem_kernel, shape_.stem_stride, true, -1);
    if (shape_.pool) last = AddPool(last);
    const int a = AddConv(last, 16, 3, shape_.stride, true, -1);
    const int down = AddConv(last, 16, 1, shape_.stride, false, -1);
    last = AddConv(a, 16, 3, 1, true, down);
    const int b = AddConv(last, 20, 3, 1, true, -1);
    last = AddConv(b, 16, 3, 1, true, last);
    const int c = AddConv(last, 8, 1, 1, true, -1);
    const int d = AddConv(c, 8, 3, 1, true, -1);
    last = AddConv(d, 16, 1, 1, true, last);
    Layer average;
    average.op = Op::kGlobalAvgPool;
    average.input = last;
    Append(average);
    NetworkSpec& spec = network_.model.network.spec;
    spec.input_channels = shape_.channels;
    spec.input_height = shape_.height;
    spec.input_width = shape_.width;
    for (int i = 0; i < 256 * shape_.channels; ++i) {
      network_.model.integer_input.push_back(static_cast<int8_t>(i % 256 - 128));
    }
    return std::move(network_);
  }

 private:
  int Append(const Layer& layer, const Convolution& convolution = {}) {
    DenseModel& model = network_.model;
    model.network.layers.push_back(layer);
    model.grids.emplace_back();
    model.grids.back().type = layer.op == Op::kInput || (layer.op == Op::kConv && !layer.relu)
                                  ? DataType::kInt8
                                  : DataType::kUint8;
    network_.original.push_back(convolution);
    model.convolutions.push_back(convolution);
    if (layer.op == Op::kConv) Simplify(model.convolutions.back());
    return static_cast<int>(model.network.layers.size()) - 1;
  }

  void SetOutput(Layer& layer, int padding) {
    const Layer& input = network_.model.network.layers[layer.input];
    layer.padding = padding;
    layer.in_channels = input.out_channels;
    layer.out_height = (input.out_height + 2 * padding - layer.kernel) / layer.stride + 1;
    layer.out_width = (input.out_width + 2 * padding - layer.kernel) / layer.stride + 1;
  }

  int AddPool(int input) {
    Layer layer;
    layer.op = Op::kMaxPool;
    layer.input = input;
    layer.out_channels = network_.model.network.layers[input].out_channels;
    layer.kernel = 3;
    layer.stride = 2;
    SetOutput(layer, 1);
    return Append(layer);
  }

  int AddConv(int input, int channels, int kernel, int stride, bool relu, int residual) {
    channels *= shape_.widen;
    Layer layer;
    layer.input = input;
    layer.residual = residual;
    layer.relu = relu;
    layer.out_channels = channels;
    layer.kernel = kernel;
    layer.stride = stride;
    SetOutput(layer, kernel / 2);
    Convolution c = ShapeOf(network_.model.network, layer);
    c.source = network_.model.grids[input].type;
    c.destination = relu ? DataType::kUint8 : DataType::kInt8;
    c.relu = relu;
    c.adds_residual = residual >= 0;
    if (c.adds_residual) c.residual = network_.model.grids[residual].type;
    if (c.adds_residual) c.residual_multiplier = Uniform(0.3f, 0.9f);
    for (int i = 0; i < channels * layer.in_channels * kernel * kernel; ++i) {
      c.integer_weights.push_back(static_cast<int8_t>(RandomWeight()));
    }
    for (int o = 0; o < channels; ++o) {
      // Some outputs overflow, some do not.
      const float sum = static_cast<float>(layer.in_channels * kernel * kernel);
      c.multiplier.push_back(Uniform(0.5f, 4.0f) / (std::sqrt(sum) * shape_.largest_weight));
      c.bias.push_back(Uniform(-20.0f, 60.0f));
      if (relu || !shape_.overflows) continue;
      // The largest multiplier for which sums are floats, and what 16 bits do not hold.
      c.multiplier.back() = 1.0f / 16;
      c.bias.back() = o % 2 == 0 ? 60000.0f : -60000.0f;
    }
    return Append(layer, c);
  }

  float Uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(random_() % 65536) / 65536.0f;
  }

  int RandomWeight() {
    if (Uniform(0, 1) < shape_.sparsity) return 0;
    const int largest = shape_.largest_weight;
    if (random_() % 4 == 0) return random_() % 2 == 0 ? largest : -largest;
    return static_cast<int>(random_() % (2 * largest + 1)) - largest;
  }

  const Shape shape_;
  std::mt19937 random_;
  TestNetwork network_;
};

// `rows` has what BlockWeights made of the simplified convolution. Of the kernels, all the same
// rounding is wanted; of BlockWeights, that it changes little.
Map Convolve(const Convolution& c, const BlockRows& rows, const Map& input, const Map* residual) {
  const std::vector<int> sums = ReferenceConvolve<int>(c, input.data(), c.integer_weights);
  Map output;
  for (size_t i = 0; i < sums.size(); ++i) {
    const size_t o = i % c.out_channels;
    float value = rows.bias[o];
    double wanted = c.bias[o] + double{c.multiplier[o]} * sums[i];
    if (residual != nullptr) {
      const int stored = (*residual)[i] + ZeroOf(c.residual);
      value = std::fma(rows.residual_multiplier,
                       static_cast<float>(kResidualBase + kResidualParts * stored), value);
      wanted += double{c.residual_multiplier} * (*residual)[i];
    }
    const double most_lost = (rows.sums_are_floats ? 1.5 * c.multiplier[o] : 0) +
                             (residual != nullptr ? c.residual_multiplier / kResidualParts : 0);
    const int sum = sums[i] + (rows.sums_are_floats ? kSumBase : 0);
    value = std::fma(rows.multiplier[o], static_cast<float>(sum), value);
    EXPECT_NEAR(value, wanted, most_lost + 1e-6 * std::abs(wanted));
    if (c.relu && value < 0) value = 0;
    const bool is_signed = c.destination == DataType::kInt8;
    output.push_back(std::clamp(static_cast<int>(std::nearbyint(value)), is_signed ? -128 : 0,
                                is_signed ? 127 : 255));
  }
  return output;
}

Map MaxPool(const Layer& in, const Layer& layer, const Map& input) {
  Map output(size_t(layer.out_height) * layer.out_width * layer.out_channels, 0);
  for (size_t i = 0; i < output.size(); ++i) {
    const int c = static_cast<int>(i) % layer.out_channels;
    const int ox = static_cast<int>(i) / layer.out_channels % layer.out_width;
    const int oy = static_cast<int>(i) / layer.out_channels / layer.out_width;
    for (int tap = 0; tap < 9; ++tap) {
      const int y = 2 * oy - 1 + tap / 3, x = 2 * ox - 1 + tap % 3;
      if (y < 0 || y >= in.out_height || x < 0 || x >= in.out_width) continue;
      output[i] = std::max(output[i], input[(y * in.out_width + x) * layer.out_channels + c]);
    }
  }
  return output;
}

// Every layer's map of one image.
std::vector<Map> Forward(const TestNetwork& network, const uint8_t* pixels) {
  const std::vector<Layer>& layers = network.model.network.layers;
  std::vector<Map> maps(layers.size());
  for (int i = 0; i < layers[0].out_height * layers[0].out_width * layers[0].out_channels; ++i) {
    maps[0].push_back(pixels[i] - 128);
  }
  for (size_t l = 1; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    if (layer.op == Op::kConv) {
      const Convolution& simple = network.model.convolutions[l];
      const BlockWeights weights(simple, layers[layer.input].out_channels, PortableBlockKernel());
      maps[l] = Convolve(network.original[l], weights.View(simple), maps[layer.input],
                         layer.residual >= 0 ? &maps[layer.residual] : nullptr);
    } else if (layer.op == Op::kMaxPool) {
      maps[l] = MaxPool(layers[layer.input], layer, maps[layer.input]);
    }
  }
  return maps;
}

struct KernelCase {
  std::string name;
  const BlockKernel* kernel;           // null where this CPU does not have it
  int matrix_from = LayerWay::kNever;  // as LayerWay has it
};

std::vector<KernelCase> Kernels() {
  return {{"Portable", &PortableBlockKernel()},
          {"Avx2", Avx2BlockKernel()},
          {"AvxVnni", AvxVnniBlockKernel()},
          {"EmulatedAvxVnni", EmulatedAvxVnniKernel()},
          {"Avx512Vnni", Avx512VnniBlockKernel()},
          {"EmulatedVnni", &EmulatedVnniKernel()},
          {"EmulatedAmx", &EmulatedAmxKernel(), /*matrix_from=*/1},
          {"Amx", AmxBlockKernel(), /*matrix_from=*/1}};
}

// Every layer's map, of all images of each batch.
void ExpectExact(const KernelCase& way, const Shape& shape, const std::vector<int>& batches,
                 int threads) {
  const TestNetwork network = NetworkMaker(shape).Make();
  const std::vector<Layer>& layers = network.model.network.layers;
  const int largest = *std::max_element(batches.begin(), batches.end());
  const size_t image = size_t(shape.height) * shape.width * shape.channels;
  std::vector<uint8_t> pixels(image * largest);
  std::mt19937 random(3);
  for (uint8_t& pixel : pixels) pixel = random() % 3 == 0 ? 255 : random() % 256;
  std::vector<std::vector<Map>> expected;
  for (int i = 0; i < largest; ++i) expected.push_back(Forward(network, &pixels[image * i]));

  LayerWays choice = AllInBlocks(network.model.network);
  for (LayerWay& layer : choice) {
    if (layer.in_blocks) layer.matrix_from = way.matrix_from;
  }
  PackedModel packed = PackModel(network.model, choice, *way.kernel);
  for (int batch : batches) {
    Plan plan(network.model, packed, batch);
    Arena arena;
    arena.Reserve(plan.arena_bytes());
    std::fill_n(arena.data(), arena.bytes(), uint8_t{0xa5});  // nothing may be taken for granted
    plan.FillInput(pixels.data(), batch, arena);
    int computed = 0;
    plan.Run(arena, threads, [&](int layer) {
      ++computed;
      if (testing::Test::HasFatalFailure()) return;  // one wrong layer is enough to read
      for (int i = 0; i < batch; ++i) {
        const Map& map = expected[i][layer];
        std::vector<uint8_t> stored(map.size());
        plan.ReadMap(arena, layer, i, stored.data());
        const bool is_signed = network.model.grids[layer].type == DataType::kInt8;
        for (size_t v = 0; v < map.size(); ++v) {
          const int value = is_signed ? static_cast<int8_t>(stored[v]) : stored[v];
          ASSERT_EQ(value, map[v]) << "layer " << layer << " of " << layers.size() << ", image "
                                   << i << " of " << batch << ", value " << v;
        }
      }
    });
    if (testing::Test::HasFatalFailure()) return;
    const auto wanted = std::count_if(layers.begin(), layers.end(), [](const Layer& layer) {
      return layer.op == Op::kConv || layer.op == Op::kMaxPool;
    });
    ASSERT_EQ(computed, wanted) << "layers of a batch of " << batch;
  }
}

class BlockPlanTest : public testing::TestWithParam<KernelCase> {
 protected:
  void ExpectExact(const Shape& shape, const std::vector<int>& batches, int threads = 1) {
    cytopress::ExpectExact(GetParam(), shape, batches, threads);
  }

  void SetUp() override {
    if (GetParam().kernel == nullptr) GTEST_SKIP() << "this CPU lacks the instructions";
  }
};

TEST_P(BlockPlanTest, ImagenetStem) {
  ExpectExact({15, 15, 3, 7, 2, true, 1, 0.8f, 127}, {1, 2, 3, 16, 32, 64});
}

TEST_P(BlockPlanTest, Stride2StemOblong) {
  ExpectExact({12, 17, 3, 3, 2, false, 2, 0.5f, 127}, {1, 4, 16, 32});
}

TEST_P(BlockPlanTest, CifarStemGray) {
  ExpectExact({6, 5, 1, 3, 1, false, 2, 0.9f, 40}, {1, 8, 32});
}

// 2x2 and 1x1 maps: kernels that cover their input, taps that are dropped.
TEST_P(BlockPlanTest, SmallMapsDenseWeights) {
  ExpectExact({8, 8, 3, 7, 2, true, 2, 0.0f, 127}, {1, 2, 5, 16, 32, 128});
}

// The same at few positions, of weights that may be added in 16 bits 1, 2 and 4 at a time.
TEST_P(BlockPlanTest, SmallMaps) {
  for (const float sparsity : {0.0f, 0.8f}) {
    for (const int largest_weight : {7, 30, 127}) {
      ExpectExact({8, 8, 3, 7, 2, true, 2, sparsity, largest_weight, 12}, {1, 2, 4, 5});
    }
  }
}

TEST_P(BlockPlanTest, Int4) { ExpectExact({9, 9, 3, 3, 2, false, 2, 0.6f, 7}, {1, 32}); }

TEST_P(BlockPlanTest, AllZero) { ExpectExact({8, 8, 3, 3, 2, false, 1, 1.0f, 127}, {1, 16}); }

// Of 14, 28 and 35 blocks of channels: as many steps of a matrix as need not overlap, and one more;
// 56, 112 and 140 rows, which are no multiples of its tiles.
TEST_P(BlockPlanTest, ManyChannels) {
  ExpectExact({9, 7, 3, 3, 2, false, 2, 0.0f, 127, 7}, {1, 2, 3, 32, 48});
}

// Sums that are bounded enough to be floats.
TEST_P(BlockPlanTest, ManyChannelsInt4) {
  ExpectExact({8, 8, 3, 7, 2, true, 2, 0.1f, 7, 8}, {1, 2, 32});
}

// As a model whose ranges are far too small: the most is still the most.
TEST_P(BlockPlanTest, OutputsFarBeyondTheirRange) {
  Shape shape = {8, 8, 3, 3, 2, false, 2, 0.1f, 7};
  shape.overflows = true;
  ExpectExact(shape, {1, 2, 5, 32});
}

TEST_P(BlockPlanTest, Threads) {
  ExpectExact({10, 10, 3, 3, 2, false, 2, 0.7f, 127}, {1, 32}, /*threads=*/3);
  ExpectExact({5, 5, 3, 3, 1, false, 2, 0.0f, 127, 7}, {1, 32}, /*threads=*/2);
}

int matrix_runs = 0;

void CountedRunMatrix(const MatrixTask& task, const uint8_t* source, uint8_t* destination,
                      int first_row, int last_row) {
  ++matrix_runs;
  EmulatedAmxKernel().run_matrix(task, source, destination, first_row, last_row);
}

// Both give what plain loops do.
TEST(MatrixFromTest, SmallerBatchesSkipZerosAndOthersAreMultipliedInFull) {
  BlockKernel kernel = EmulatedAmxKernel();
  kernel.run_matrix = CountedRunMatrix;
  const Shape shape = {9, 7, 3, 3, 2, false, 2, 0.5f, 127, 2};
  for (const int batch : {1, 3, 4, 8}) {
    matrix_runs = 0;
    ExpectExact({"Counted", &kernel, /*matrix_from=*/4}, shape, {batch}, /*threads=*/1);
    if (testing::Test::HasFatalFailure()) return;
    EXPECT_EQ(matrix_runs > 0, batch >= 4) << batch;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, BlockPlanTest, testing::ValuesIn(Kernels()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace cytopress
