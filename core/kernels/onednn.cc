#include "core/kernels/onednn.h"

#include <algorithm>
#include <cstring>

namespace cytopress {
namespace {

using DnnlType = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;
using Dims = dnnl::memory::dims;

DnnlType ToDnnl(DataType type) {
  switch (type) {
    case DataType::kUint8:
      return DnnlType::u8;
    case DataType::kInt8:
      return DnnlType::s8;
    case DataType::kBfloat16:
      return DnnlType::bf16;
    case DataType::kFloat32:
      break;
  }
  return DnnlType::f32;
}

bool IsInteger(const Convolution& c) {
  return c.source == DataType::kUint8 || c.source == DataType::kInt8;
}

// oneDNN 2.x adds the bias before it multiplies, 3.x after.
std::vector<float> BiasForVersion(const Convolution& c) {
  std::vector<float> bias = c.bias;
  if (DNNL_VERSION_MAJOR >= 3 || !IsInteger(c)) return bias;
  for (size_t i = 0; i < bias.size(); ++i) bias[i] /= c.multiplier[i];
  return bias;
}

dnnl::memory CopyOf(const std::vector<float>& values) {
  const dnnl::memory::desc layout({static_cast<dnnl::memory::dim>(values.size())}, DnnlType::f32,
                                  Tag::x);
  dnnl::memory memory(layout, CpuEngine());
  std::memcpy(memory.get_data_handle(), values.data(), values.size() * sizeof(float));
  return memory;
}

dnnl::primitive_attr MakeAttributes(const Convolution& c) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post_ops;
  if (c.adds_residual) {
    const bool same = c.residual == c.destination;
    post_ops.append_sum(c.residual_multiplier, /*zero_point=*/0,
                        same ? DnnlType::undef : ToDnnl(c.residual));
  }
#if DNNL_VERSION_MAJOR >= 3
  if (IsInteger(c)) attributes.set_scales_mask(DNNL_ARG_WEIGHTS, /*mask=*/1 << 0);
  if (c.relu) post_ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
  if (IsInteger(c)) attributes.set_output_scales(/*mask=*/1 << 1, c.multiplier);
  if (c.relu) post_ops.append_eltwise(/*scale=*/1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
  attributes.set_post_ops(post_ops);
  return attributes;
}

dnnl::memory::desc DescribeWeights(const Convolution& c, DnnlType type, Tag tag) {
  return {{c.out_channels, c.in_channels, c.kernel_height, c.kernel_width}, type, tag};
}

// The convolution's own.
dnnl::memory PlainWeights(const Convolution& c) {
  const void* const plain = IsInteger(c) ? static_cast<const void*>(c.integer_weights.data())
                                         : static_cast<const void*>(c.float_weights.data());
  const DnnlType type = IsInteger(c) ? DnnlType::s8 : DnnlType::f32;
  return {DescribeWeights(c, type, Tag::oihw), CpuEngine(), const_cast<void*>(plain)};
}

// Of the weights as they are multiplied: like the source, but integers are signed.
DnnlType WeightType(const Convolution& c) { return IsInteger(c) ? DnnlType::s8 : ToDnnl(c.source); }

dnnl::convolution_forward::primitive_desc Describe(const Convolution& c, int batch) {
  // The rows of a matrix product are all alike, so a batch may as well be one tall image, which
  // oneDNN computes in larger tiles.
  const int images = c.is_pointwise() ? 1 : batch;
  const int stacked = c.is_pointwise() ? batch : 1;
  const dnnl::memory::desc source({images, c.in_channels, c.in_height * stacked, c.in_width},
                                  ToDnnl(c.source), Tag::nhwc);
  const dnnl::memory::desc destination(
      {images, c.out_channels, c.out_height * stacked, c.out_width}, ToDnnl(c.destination),
      Tag::nhwc);
  const dnnl::memory::desc weights = DescribeWeights(c, WeightType(c), Tag::any);
  const dnnl::memory::desc bias({c.out_channels}, DnnlType::f32, Tag::x);
  const Dims strides = {c.stride, c.stride};
  const Dims before = {c.pad_top, c.pad_left};
  const Dims after = {c.pad_bottom(), c.pad_right()};
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {CpuEngine(), kKind,   kAlgorithm, source, weights,          bias,
          destination, strides, before,     after,  MakeAttributes(c)};
#else
  return {{kKind, kAlgorithm, source, weights, bias, destination, strides, before, after},
          MakeAttributes(c),
          CpuEngine()};
#endif
}

dnnl::pooling_forward::primitive_desc Describe(const MaxPool& p, int batch) {
  const dnnl::memory::desc source({batch, p.channels, p.in_height, p.in_width}, ToDnnl(p.type),
                                  Tag::nhwc);
  const dnnl::memory::desc destination({batch, p.channels, p.out_height, p.out_width},
                                       ToDnnl(p.type), Tag::nhwc);
  const auto after = [&p](int in_size, int out_size) {
    return std::max(0, (out_size - 1) * p.stride + p.kernel - in_size - p.padding);
  };
  const Dims strides = {p.stride, p.stride};
  const Dims kernel = {p.kernel, p.kernel};
  const Dims pad_before = {p.padding, p.padding};
  const Dims pad_after = {after(p.in_height, p.out_height), after(p.in_width, p.out_width)};
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kAlgorithm = dnnl::algorithm::pooling_max;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
  const Dims no_dilation = {0, 0};
  return {CpuEngine(), kKind,       kAlgorithm, source,    destination, strides,
          kernel,      no_dilation, pad_before, pad_after, attributes};
#else
  return {{kKind, kAlgorithm, source, destination, strides, kernel, pad_before, pad_after},
          attributes,
          CpuEngine()};
#endif
}

template <typename PrimitiveDesc, typename Primitive>
Operation MakeOperation(const PrimitiveDesc& description) {
  Operation operation(Primitive(description), description.scratchpad_desc().get_size());
  operation.AddUnbound(DNNL_ARG_SRC, description.src_desc());
  operation.AddUnbound(DNNL_ARG_DST, description.dst_desc());
  if (operation.scratch_bytes() > 0) {
    operation.AddUnbound(DNNL_ARG_SCRATCHPAD, description.scratchpad_desc());
  }
  return operation;
}

}  // namespace

const dnnl::engine& CpuEngine() {
  static const auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

bool HasIsa(dnnl::cpu_isa wanted) {
  const int bits = static_cast<int>(wanted);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & bits) == bits;
}

bool HasExactInt8() {
  return HasIsa(dnnl::cpu_isa::avx512_core_vnni) || HasIsa(dnnl::cpu_isa::avx2_vnni);
}

IntegerUnit BestIntegerUnit() {
  if (HasIsa(dnnl::cpu_isa::avx512_core_amx)) return IntegerUnit::kAmx;
  const bool wide = HasIsa(dnnl::cpu_isa::avx512_core_vnni);
  return wide ? IntegerUnit::kAvx512Vnni : IntegerUnit::kAvxVnni;
}

bool HasBfloat16() { return HasIsa(dnnl::cpu_isa::avx512_core_bf16); }

Operation::Operation(const Operation& other) : Operation(other.primitive_, other.scratch_bytes_) {
  for (size_t i = 0; i < other.arguments_.size(); ++i) {
    const dnnl::memory& memory = other.memories_[i];
    const bool is_constant = other.is_constant_[i];
    Add(other.arguments_[i].arg,
        is_constant ? memory
                    : dnnl::memory(memory.get_desc(), CpuEngine(), memory.get_data_handle()),
        is_constant);
  }
}

void Operation::AddConstant(int argument, const dnnl::memory& memory) {
  Add(argument, memory, /*is_constant=*/true);
}

void Operation::AddUnbound(int argument, const dnnl::memory::desc& layout) {
  Add(argument, dnnl::memory(layout, CpuEngine(), DNNL_MEMORY_NONE), /*is_constant=*/false);
}

void Operation::Add(int argument, const dnnl::memory& memory, bool is_constant) {
  memories_.push_back(memory);
  is_constant_.push_back(is_constant);
  arguments_.push_back({argument, memories_.back().get()});
}

void Operation::SetAddress(int argument, void* address) {
  for (size_t i = 0; i < arguments_.size(); ++i) {
    if (arguments_[i].arg == argument) memories_[i].set_data_handle(address);
  }
}

void Operation::Run() const {
  thread_local dnnl::stream stream(CpuEngine());
  // The C interface: the C++ one would build a map of the arguments each time.
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive_.get(), stream.get(), static_cast<int>(arguments_.size()),
                             arguments_.data()),
      "oneDNN could not run a primitive");
  stream.wait();
}

PackedConstants::PackedConstants(const Convolution& convolution)
    : convolution_(&convolution), bias_(CopyOf(BiasForVersion(convolution))) {
  if (IsInteger(convolution)) multiplier_ = CopyOf(convolution.multiplier);
}

bool PackedConstants::needs_plain_weights() const {
  // Where sources are signed, oneDNN packs sums of the weights with them, and reads no such layout.
  return layouts_.empty() || convolution_->source == DataType::kInt8;
}

dnnl::memory PackedConstants::Weights(const dnnl::memory::desc& layout) {
  for (const auto& [known, memory] : layouts_) {
    if (known == layout) return memory;
  }
  dnnl::memory from = needs_plain_weights() ? PlainWeights(*convolution_) : layouts_.front().second;
  dnnl::memory to(layout, CpuEngine());
  dnnl::stream stream(CpuEngine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  layouts_.emplace_back(layout, to);
  return to;
}

Operation MakeConvolution(PackedConstants& constants, int batch) {
  const auto description = Describe(constants.convolution(), batch);
  Operation operation =
      MakeOperation<decltype(description), dnnl::convolution_forward>(description);
  operation.AddConstant(DNNL_ARG_WEIGHTS, constants.Weights(description.weights_desc()));
  operation.AddConstant(DNNL_ARG_BIAS, constants.bias());
#if DNNL_VERSION_MAJOR >= 3
  if (IsInteger(constants.convolution())) {
    operation.AddConstant(DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, constants.multiplier());
  }
#endif
  return operation;
}

Operation MakeMaxPool(const MaxPool& pool, int batch) {
  const auto description = Describe(pool, batch);
  return MakeOperation<decltype(description), dnnl::pooling_forward>(description);
}

}  // namespace cytopress
