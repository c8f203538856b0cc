// A writer of safetensors files, for tests of the reader.
#ifndef CYTOPRESS_TESTS_CORE_SAFETENSORS_WRITE_SAFETENSORS_H_
#define CYTOPRESS_TESTS_CORE_SAFETENSORS_WRITE_SAFETENSORS_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/network/network.h"

namespace cytopress {

// The file whose header is `json`, followed by `data`.
inline std::string SafetensorsFile(const std::string& json, const std::string& data) {
  const uint64_t size = json.size();
  std::string file(sizeof(size), '\0');
  std::memcpy(file.data(), &size, sizeof(size));
  return file + json + data;
}

// All tensors as F32, their names behind `prefix`.
inline std::string WriteSafetensors(const TensorMap& tensors, const std::string& prefix = "") {
  std::string data;
  std::string json = R"({"__metadata__": {"format": "pt"})";
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
    absl::StrAppend(&json, ", \"", prefix, name, R"(": {"dtype": "F32", "shape": [)",
                    absl::StrJoin(tensor.shape, ", "), R"(], "data_offsets": [)", begin, ", ",
                    data.size(), "]}");
  }
  return SafetensorsFile(json + "}  ", data);
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_SAFETENSORS_WRITE_SAFETENSORS_H_
