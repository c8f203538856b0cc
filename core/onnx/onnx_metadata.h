// What an ONNX file says about the model in it.
#ifndef CYTOPRESS_CORE_ONNX_ONNX_METADATA_H_
#define CYTOPRESS_CORE_ONNX_ONNX_METADATA_H_

#include "core/artifact/artifact.h"
#include "core/onnx/onnx_export.h"
#include "onnx/onnx_pb.h"

namespace cytopress {

// Producer, version and the metadata_props that docs/onnx-export.md lists.
void DescribeModel(const Artifact& artifact, const OnnxOptions& options, onnx::ModelProto* model);

// The graph's input "image" and output "probabilities", with a free number of images N.
void DescribeInputAndOutput(const NetworkSpec& spec, onnx::GraphProto* graph);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ONNX_ONNX_METADATA_H_
