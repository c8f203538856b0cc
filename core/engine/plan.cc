#include "core/engine/plan.h"

#include <algorithm>
#include <cstring>

#include "core/kernels/im2col.h"

namespace cytopress {
namespace {

MaxPool ToMaxPool(const Layer& layer, const Layer& input, DataType type) {
  MaxPool pool;
  pool.channels = layer.out_channels;
  pool.in_height = input.out_height;
  pool.in_width = input.out_width;
  pool.out_height = layer.out_height;
  pool.out_width = layer.out_width;
  pool.kernel = layer.kernel;
  pool.stride = layer.stride;
  pool.padding = layer.padding;
  pool.type = type;
  return pool;
}

// The input's values by `table`, [channel][pixel value].
template <typename T>
void LookUp(const std::vector<T>& table, const uint8_t* pixels, int64_t count, int channels,
            int64_t room, uint8_t* input) {
  T* const values = reinterpret_cast<T*>(input);
  for (int64_t i = 0; i < count; i += channels) {
    for (int c = 0; c < channels; ++c) values[i + c] = table[256 * c + pixels[i + c]];
  }
  std::fill(values + count, values + room, T{0});
}

}  // namespace

std::vector<bool> PackedModel::in_blocks() const {
  std::vector<bool> result;
  for (const LayerWay& way : choice) result.push_back(way.in_blocks);
  return result;
}

LayerWays AllByOneDnn(const Network& network) { return LayerWays(network.layers.size()); }

LayerWays AllInBlocks(const Network& network) {
  LayerWays choice;
  for (const Layer& layer : network.layers) choice.push_back({layer.op == Op::kConv});
  return choice;
}

LayerWays AllByMatrix(const Network& network) {
  LayerWays choice = AllInBlocks(network);
  for (LayerWay& way : choice) {
    if (way.in_blocks) way.matrix_from = 1;
  }
  return choice;
}

PackedModel PackModel(const DenseModel& model, const LayerWays& choice, const BlockKernel& kernel) {
  const size_t layers = model.network.layers.size();
  PackedModel packed;
  packed.choice = choice;
  packed.kernel = &kernel;
  packed.onednn.resize(layers);
  packed.im2col.resize(layers);
  packed.blocks.resize(layers);
  packed.matrices.resize(layers);
  for (size_t i = 0; i < layers; ++i) {
    const Layer& layer = model.network.layers[i];
    if (layer.op != Op::kConv) continue;
    const Convolution* convolution = &model.convolutions[i];
    if (choice[i].in_blocks) {
      const int source_channels = model.network.layers[layer.input].out_channels;
      if (choice[i].matrix_from > 1) {
        packed.blocks[i] = std::make_unique<BlockWeights>(*convolution, source_channels, kernel);
      }
      if (choice[i].matrix_from != LayerWay::kNever) {
        packed.matrices[i] = std::make_unique<MatrixWeights>(*convolution, source_channels);
      }
      continue;
    }
    if (PrefersIm2col(*convolution)) {
      packed.im2col[i] = std::make_unique<Convolution>(Im2colConvolution(*convolution));
      convolution = packed.im2col[i].get();
    }
    packed.onednn[i] = std::make_unique<PackedConstants>(*convolution);
  }
  return packed;
}

Plan::Plan(const DenseModel& model, PackedModel& packed, int batch)
    : model_(model),
      batch_(batch),
      output_layer_(PooledLayer(model.network)),
      forms_(FormsOf(model.network, packed.in_blocks())) {
  for (const Layer& layer : model.network.layers) {
    maps_.push_back(
        MakeBlockMap(layer.out_channels, layer.out_height, layer.out_width, batch, *packed.kernel));
  }
  for (size_t i = 0; i < model.integer_input.size(); ++i) {
    const auto stored = static_cast<uint8_t>(model.integer_input[i] + kSignedZero);
    input_bytes_.push_back(uint32_t{stored} << (8 * (i / 256)));
  }
  for (int i = 0; i < static_cast<int>(maps_.size()); ++i) {
    const Op op = model.network.layers[i].op;
    if (IsUnread(i) || (op != Op::kConv && op != Op::kMaxPool)) continue;
    steps_.push_back(Compile(i, packed));
  }
  LayOut();
}

Plan::Step Plan::Compile(int index, PackedModel& packed) const {
  const std::vector<Layer>& layers = model_.network.layers;
  const Layer& layer = layers[index];
  Step step;
  step.layer = index;
  if (layer.op == Op::kConv && batch_ >= packed.choice[index].matrix_from) {
    step.matrix = std::make_shared<const MatrixConvolution>(
        model_.convolutions[index], *packed.matrices[index], maps_[layer.input], maps_[index],
        *packed.kernel);
  } else if (layer.op == Op::kConv && packed.choice[index].in_blocks) {
    step.convolution =
        std::make_shared<const BlockConvolution>(model_.convolutions[index], *packed.blocks[index],
                                                 maps_[layer.input], maps_[index], *packed.kernel);
  } else if (layer.op == Op::kConv) {
    step.operation = MakeConvolution(*packed.onednn[index], batch_);
    step.uses_im2col = packed.im2col[index] != nullptr;
  } else if (forms_.written[index] == kBlocks) {
    step.pooling = std::make_shared<const BlockPooling>(layer, maps_[layer.input], maps_[index],
                                                        *packed.kernel);
  } else {
    const DataType type = model_.grids[index].type;
    step.operation = MakeMaxPool(ToMaxPool(layer, layers[layer.input], type), batch_);
  }
  return step;
}

size_t Plan::image_map_bytes(int layer) const {
  const Layer& shape = model_.network.layers[layer];
  return size_t(shape.out_height) * shape.out_width * shape.out_channels *
         DataTypeBytes(model_.grids[layer].type);
}

size_t Plan::Im2colRoom(const Step& step) const {
  if (!step.uses_im2col) return 0;
  const size_t bytes = Im2colBytes(model_.convolutions[step.layer], batch_);
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

size_t Plan::ScratchBytes(const Step& step) const {
  if (step.convolution) return step.convolution->scratch_bytes();
  if (step.matrix) return step.matrix->scratch_bytes();
  if (step.pooling) return step.pooling->scratch_bytes();
  return Im2colRoom(step) + step.operation->scratch_bytes();
}

void Plan::LayOut() {
  std::vector<ByForm<size_t>> map_bytes;
  for (int i = 0; i < static_cast<int>(maps_.size()); ++i) {
    map_bytes.push_back({batch_ * image_map_bytes(i), maps_[i].bytes()});
  }
  size_t scratch_bytes = 0;
  for (const Step& step : steps_) scratch_bytes = std::max(scratch_bytes, ScratchBytes(step));
  layout_ = cytopress::LayOut(model_.network, forms_, map_bytes, scratch_bytes);
}

uint8_t Plan::Flip(int layer) const {
  return static_cast<uint8_t>(ZeroOf(model_.grids[layer].type));
}

uint8_t* Plan::Map(const Arena& arena, int layer, MapForm form) const {
  return arena.data() + layout_.offsets[layer][form];
}

void Plan::FillInput(const uint8_t* pixels, int count, const Arena& arena) const {
  const MapForm form = forms_.written[0];
  uint8_t* const input = Map(arena, 0, form);
  form == kBlocks ? FillBlocks(pixels, count, input) : FillNhwc(pixels, count, input);
}

void Plan::FillNhwc(const uint8_t* pixels, int count, uint8_t* input) const {
  const int channels = model_.network.spec.input_channels;
  const int64_t image = int64_t{maps_[0].height} * maps_[0].width * channels;
  const int64_t used = count * image, room = batch_ * image;
  if (model_.grids[0].type == DataType::kInt8) {
    LookUp(model_.integer_input, pixels, used, channels, room, input);
  } else if (model_.grids[0].type == DataType::kBfloat16) {
    LookUp(model_.bfloat16_input, pixels, used, channels, room, input);
  } else {
    LookUp(model_.float_input, pixels, used, channels, room, input);
  }
}

void Plan::FillBlocks(const uint8_t* pixels, int count, uint8_t* input) const {
  const BlockMap& map = maps_[0];
  const int channels = model_.network.spec.input_channels;  // 1 or 3
  const int64_t image_bytes = int64_t{map.height} * map.width * channels;
  const uint32_t* const bytes = input_bytes_.data();
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x, pixels += channels) {
      uint8_t* const values = input + map.Offset(0, y, x);
      for (int image = 0; image < count; ++image) {
        const uint8_t* const pixel = pixels + image * image_bytes;
        uint32_t block = bytes[pixel[0]];
        if (channels == 3) block |= bytes[256 + pixel[1]] | bytes[512 + pixel[2]];
        std::memcpy(values + kBlockChannels * image, &block, sizeof(block));
      }
    }
  }
}

void Plan::Bind(uint8_t* arena) {
  if (bound_ == arena) return;
  for (Step& step : steps_) {
    if (!step.operation) continue;
    const Layer& layer = model_.network.layers[step.layer];
    uint8_t* const scratch = arena + layout_.scratch_offset;
    uint8_t* const source = arena + layout_.offsets[layer.input][kNhwc];
    step.operation->SetAddress(DNNL_ARG_SRC, step.uses_im2col ? scratch : source);
    step.operation->SetAddress(DNNL_ARG_DST, arena + layout_.offsets[step.layer][kNhwc]);
    step.operation->SetAddress(DNNL_ARG_SCRATCHPAD, scratch + Im2colRoom(step));
  }
  bound_ = arena;
}

void Plan::RunStep(const Step& step, const Arena& arena, int threads) {
  const int input = model_.network.layers[step.layer].input;
  uint8_t* const scratch = arena.data() + layout_.scratch_offset;
  if (step.operation) {
    if (step.uses_im2col) {
      Im2col(model_.convolutions[step.layer], batch_, Map(arena, input, kNhwc), scratch, threads);
    }
    return step.operation->Run();
  }
  const uint8_t* const source = Map(arena, input, kBlocks);
  uint8_t* const destination = Map(arena, step.layer, kBlocks);
  if (step.convolution) {
    step.convolution->Run(source, scratch, destination, threads);
  } else if (step.matrix) {
    step.matrix->Run(source, scratch, destination, threads);
  } else {
    step.pooling->Run(source, scratch, destination);
  }
}

void Plan::Convert(int layer, const Arena& arena) const {
  if (!forms_.IsConverted(layer)) return;
  uint8_t* const nhwc = Map(arena, layer, kNhwc);
  uint8_t* const blocks = Map(arena, layer, kBlocks);
  if (forms_.written[layer] == kNhwc) {
    ToBlocks(maps_[layer], Flip(layer), nhwc, blocks);
  } else {
    ToNhwc(maps_[layer], Flip(layer), blocks, nhwc);
  }
}

void Plan::Run(const Arena& arena, int threads, const Observer& observer) {
  Bind(arena.data());
  for (const Step& step : steps_) {
    RunStep(step, arena, threads);
    Convert(step.layer, arena);
    if (observer) observer(step.layer);
  }
}

void Plan::ReadMap(const Arena& arena, int layer, int image, uint8_t* values) const {
  if (forms_.written[layer] == kNhwc) {
    const size_t bytes = image_map_bytes(layer);
    std::memcpy(values, Map(arena, layer, kNhwc) + image * bytes, bytes);
    return;
  }
  const BlockMap& map = maps_[layer];
  const int channels = model_.network.layers[layer].out_channels;
  const uint8_t* const from = Map(arena, layer, kBlocks);
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const uint8_t* block = from + map.Offset(0, y, x) + kBlockChannels * image;
      for (int c = 0; c < channels; c += kBlockChannels) {
        const int used = std::min(kBlockChannels, channels - c);
        for (int i = 0; i < used; ++i) *values++ = block[i] ^ Flip(layer);
        block += map.tile_lanes * kBlockChannels;
      }
    }
  }
}

}  // namespace cytopress
