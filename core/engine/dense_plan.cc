#include "core/engine/dense_plan.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace cytopress {
namespace {

MaxPool ToMaxPool(const Layer& layer, const Layer& input, Number number) {
  MaxPool pool;
  pool.channels = layer.out_channels;
  pool.in_height = input.out_height;
  pool.in_width = input.out_width;
  pool.out_height = layer.out_height;
  pool.out_width = layer.out_width;
  pool.kernel = layer.kernel;
  pool.stride = layer.stride;
  pool.padding = layer.padding;
  pool.number = number;
  return pool;
}

}  // namespace

PackedModel PackModel(const DenseModel& model) {
  PackedModel packed(model.network.layers.size());
  for (size_t i = 0; i < packed.size(); ++i) {
    if (model.network.layers[i].op != Op::kConv) continue;
    packed[i] = std::make_unique<PackedConstants>(model.convolutions[i]);
  }
  return packed;
}

DensePlan::DensePlan(const DenseModel& model, PackedModel& packed, int batch)
    : model_(model), batch_(batch), output_layer_(PooledLayer(model.network)) {
  Compile(packed);
  LayOut();
}

size_t DensePlan::OutputBytes(int layer) const {
  const Layer& shape = model_.network.layers[layer];
  return size_t(batch_) * shape.out_height * shape.out_width * shape.out_channels *
         NumberBytes(model_.grids[layer].number);
}

void DensePlan::Compile(PackedModel& packed) {
  const std::vector<Layer>& layers = model_.network.layers;
  for (int i = 0; i < static_cast<int>(layers.size()); ++i) {
    const Layer& layer = layers[i];
    if (!model_.unread.empty() && model_.unread[i]) continue;
    if (layer.op == Op::kConv) {
      steps_.push_back({i, MakeConvolution(*packed[i], batch_)});
    } else if (layer.op == Op::kMaxPool) {
      const Number number = model_.grids[i].number;
      steps_.push_back({i, MakeMaxPool(ToMaxPool(layer, layers[layer.input], number), batch_)});
    }
  }
}

void DensePlan::LayOut() {
  const Network& network = model_.network;
  const std::vector<int> buffer_of = AssignBuffers(network);
  std::vector<size_t> buffer_bytes;
  for (size_t i = 0; i < buffer_of.size(); ++i) {
    if (buffer_of[i] == static_cast<int>(buffer_bytes.size())) {
      buffer_bytes.push_back(OutputBytes(static_cast<int>(i)));
    }
  }
  size_t scratch_bytes = 0;
  for (const Step& step : steps_) {
    scratch_bytes = std::max(scratch_bytes, step.operation.scratch_bytes());
  }
  layout_ = cytopress::LayOut(network, buffer_of, buffer_bytes, scratch_bytes);
}

void DensePlan::Bind(uint8_t* arena) {
  if (bound_ == arena) return;
  for (Step& step : steps_) {
    const Layer& layer = model_.network.layers[step.layer];
    step.operation.SetAddress(DNNL_ARG_SRC, arena + layout_.offsets[layer.input]);
    step.operation.SetAddress(DNNL_ARG_DST, arena + layout_.offsets[step.layer]);
    step.operation.SetAddress(DNNL_ARG_SCRATCHPAD, arena + layout_.scratch_offset);
  }
  bound_ = arena;
}

void DensePlan::Run(const Arena& arena, dnnl::stream& stream, const Observer& observer) {
  Bind(arena.data());
  for (const Step& step : steps_) {
    step.operation.Run(stream);
    if (!observer) continue;
    stream.wait();
    observer(step.layer, arena.data() + layout_.offsets[step.layer]);
  }
  stream.wait();
}

std::vector<std::string> DensePlan::Implementations() const {
  std::vector<std::string> names;
  for (const Step& step : steps_) names.push_back(step.operation.implementation());
  return names;
}

}  // namespace cytopress
