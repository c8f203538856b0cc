// Puts an ONNX graph together, node by node (https://onnx.ai/onnx/repo-docs/IR.html).
#ifndef CYTOPRESS_CORE_ONNX_ONNX_GRAPH_H_
#define CYTOPRESS_CORE_ONNX_ONNX_GRAPH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "onnx/onnx_pb.h"

namespace cytopress {

// One real value a step of an integer grid: real = step * (stored - zero_point). uint8, or int8
// where the grid is signed.
struct OnnxGrid {
  float step = 1;
  int zero_point = 0;
  bool is_signed = false;
};

// Every value of a graph has a name of its own: methods that add one return its name. Thread-
// compatible.
class OnnxGraph {
 public:
  // `graph` must outlive the object.
  explicit OnnxGraph(onnx::GraphProto* graph) : graph_(graph) {}

  // A node with one output named `output`; attributes may be added to what is returned.
  onnx::NodeProto* Add(absl::string_view op, const std::vector<std::string>& inputs,
                       const std::string& output);

  // Constants. REQUIRES: the values fill the shape.
  std::string Floats(const std::string& name, const std::vector<int64_t>& shape,
                     absl::Span<const float> values);
  std::string Halves(const std::string& name, const std::vector<int64_t>& shape,
                     absl::Span<const float> values);  // rounded to FP16
  std::string Int8(const std::string& name, const std::vector<int64_t>& shape,
                   absl::Span<const int8_t> values);
  std::string Int32(const std::string& name, const std::vector<int64_t>& shape,
                    absl::Span<const int32_t> values);

  // The FP32 value of `input`, which is FP16 or an integer.
  std::string Cast(const std::string& input, const std::string& output);
  // `input`, FP32, on a grid: rounded to nearest even, saturated.
  std::string Quantize(const std::string& input, const OnnxGrid& grid, const std::string& output);
  // The FP32 value of `input`, which lies on a grid. Each consumer gets a node of its own, because
  // runtimes look for patterns of QDQ nodes that belong to one operator.
  std::string Dequantize(const std::string& input, const OnnxGrid& grid, const std::string& output);

 private:
  std::string Constant(const std::string& name, onnx::TensorProto::DataType type,
                       const std::vector<int64_t>& shape, const void* data, size_t bytes);
  std::string Step(const OnnxGrid& grid, const std::string& value);
  std::string ZeroPoint(const OnnxGrid& grid, const std::string& value);

  onnx::GraphProto* const graph_;
};

void SetInt(onnx::NodeProto* node, const std::string& name, int64_t value);
void SetInts(onnx::NodeProto* node, const std::string& name, const std::vector<int64_t>& values);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ONNX_ONNX_GRAPH_H_
