#include "core/onnx/onnx_metadata.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails for types of unknown descriptors only.
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

void AddProperty(const std::string& key, const std::string& value, onnx::ModelProto* model) {
  onnx::StringStringEntryProto* const entry = model->add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

// Dimensions: N and then `sizes`.
void Describe(const std::string& name, onnx::TensorProto::DataType type,
              const std::vector<int>& sizes, const std::string& text, onnx::ValueInfoProto* value) {
  value->set_name(name);
  value->set_doc_string(text);
  onnx::TypeProto::Tensor* const tensor = value->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape()->add_dim()->set_dim_param("N");
  for (const int size : sizes) tensor->mutable_shape()->add_dim()->set_dim_value(size);
}

}  // namespace

void DescribeModel(const Artifact& artifact, const OnnxOptions& options, onnx::ModelProto* model) {
  model->set_producer_name("cytopress");
  model->set_producer_version(options.producer_version);
  model->set_model_version(options.version);
  google::protobuf::ListValue names;
  for (const std::string& name : artifact.class_names) names.add_values()->set_string_value(name);
  AddProperty("name", options.name, model);
  AddProperty("version", absl::StrCat(options.version), model);
  AddProperty("cytopress_version", options.producer_version, model);
  AddProperty("weights", v1::WeightType_Name(artifact.weights), model);
  AddProperty("class_names", ToJson(names), model);
  AddProperty("preprocessing", ToJson(ToProto(artifact.preprocessing)), model);
}

void DescribeInputAndOutput(const NetworkSpec& spec, onnx::GraphProto* graph) {
  Describe("image", onnx::TensorProto::UINT8,
           {spec.input_height, spec.input_width, spec.input_channels},
           absl::StrCat("Pixels from 0 to 255, ", spec.input_channels == 3 ? "RGB" : "gray",
                        ", [images, height, width, channels], cropped and scaled as the metadata's "
                        "`preprocessing` says. Its mean and stddev are applied in the graph."),
           graph->add_input());
  Describe("probabilities", onnx::TensorProto::FLOAT, {spec.classes},
           "[images, classes], in the order of the metadata's `class_names`; each row's sum is 1.",
           graph->add_output());
}

}  // namespace cytopress
