#include "core/onnx/onnx_graph.h"

#include "core/artifact/float16.h"

namespace cytopress {

onnx::NodeProto* OnnxGraph::Add(absl::string_view op, const std::vector<std::string>& inputs,
                                const std::string& output) {
  onnx::NodeProto* const node = graph_->add_node();
  node->set_op_type(std::string(op));
  node->set_name(output);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(output);
  return node;
}

// ONNX stores raw data in little-endian order, which is that of every processor oneDNN runs on.
std::string OnnxGraph::Constant(const std::string& name, onnx::TensorProto::DataType type,
                                const std::vector<int64_t>& shape, const void* data, size_t bytes) {
  onnx::TensorProto* const tensor = graph_->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  for (const int64_t size : shape) tensor->add_dims(size);
  tensor->set_raw_data(data, bytes);
  return name;
}

std::string OnnxGraph::Floats(const std::string& name, const std::vector<int64_t>& shape,
                              absl::Span<const float> values) {
  return Constant(name, onnx::TensorProto::FLOAT, shape, values.data(),
                  values.size() * sizeof(float));
}

std::string OnnxGraph::Halves(const std::string& name, const std::vector<int64_t>& shape,
                              absl::Span<const float> values) {
  std::vector<uint16_t> halves;
  halves.reserve(values.size());
  for (const float value : values) halves.push_back(ToFloat16(value));
  return Constant(name, onnx::TensorProto::FLOAT16, shape, halves.data(),
                  halves.size() * sizeof(uint16_t));
}

std::string OnnxGraph::Int8(const std::string& name, const std::vector<int64_t>& shape,
                            absl::Span<const int8_t> values) {
  return Constant(name, onnx::TensorProto::INT8, shape, values.data(), values.size());
}

std::string OnnxGraph::Int32(const std::string& name, const std::vector<int64_t>& shape,
                             absl::Span<const int32_t> values) {
  return Constant(name, onnx::TensorProto::INT32, shape, values.data(),
                  values.size() * sizeof(int32_t));
}

std::string OnnxGraph::Step(const OnnxGrid& grid, const std::string& value) {
  return Floats(value + ".step", {}, {grid.step});
}

std::string OnnxGraph::ZeroPoint(const OnnxGrid& grid, const std::string& value) {
  const auto byte = static_cast<uint8_t>(grid.zero_point);
  return Constant(value + ".zero_point",
                  grid.is_signed ? onnx::TensorProto::INT8 : onnx::TensorProto::UINT8, {}, &byte,
                  1);
}

std::string OnnxGraph::Cast(const std::string& input, const std::string& output) {
  SetInt(Add("Cast", {input}, output), "to", onnx::TensorProto::FLOAT);
  return output;
}

std::string OnnxGraph::Quantize(const std::string& input, const OnnxGrid& grid,
                                const std::string& output) {
  Add("QuantizeLinear", {input, Step(grid, output), ZeroPoint(grid, output)}, output);
  return output;
}

std::string OnnxGraph::Dequantize(const std::string& input, const OnnxGrid& grid,
                                  const std::string& output) {
  Add("DequantizeLinear", {input, Step(grid, output), ZeroPoint(grid, output)}, output);
  return output;
}

void SetInt(onnx::NodeProto* node, const std::string& name, int64_t value) {
  onnx::AttributeProto* const attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

void SetInts(onnx::NodeProto* node, const std::string& name, const std::vector<int64_t>& values) {
  onnx::AttributeProto* const attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}

}  // namespace cytopress
