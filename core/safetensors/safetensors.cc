#include "core/safetensors/safetensors.h"

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/casts.h"
#include "absl/strings/str_cat.h"
#include "core/artifact/float16.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = sizeof(uint64_t);
// The format allows 100 MB; the largest network here needs less than 100 KB.
constexpr uint64_t kMaxHeaderBytes = uint64_t{8} << 20;
constexpr char kMetadata[] = "__metadata__";  // text about the file, of no tensor

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a sound safetensors file: ", what));
}

// Numbers are little-endian, as they are on every processor that oneDNN runs on.
template <typename Number>
Number Load(const char* bytes) {
  Number number;
  std::memcpy(&number, bytes, sizeof(number));
  return number;
}

using LoadValue = float (*)(const char* bytes);

struct FloatType {
  absl::string_view name;
  int64_t bytes;
  LoadValue load;
};

constexpr FloatType kFloatTypes[] = {
    {"F64", 8, [](const char* at) { return static_cast<float>(Load<double>(at)); }},
    {"F32", 4, [](const char* at) { return Load<float>(at); }},
    {"F16", 2, [](const char* at) { return FromFloat16(Load<uint16_t>(at)); }},
    {"BF16", 2,
     [](const char* at) { return absl::bit_cast<float>(uint32_t{Load<uint16_t>(at)} << 16); }},
};

const FloatType* FindFloatType(absl::string_view name) {
  for (const FloatType& type : kFloatTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

// Whole numbers that are not negative.
absl::StatusOr<std::vector<int64_t>> Numbers(const json& entry, const char* key) {
  const auto found = entry.find(key);
  std::vector<int64_t> numbers;
  if (found == entry.end() || !found->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat("has no list ", key));
  }
  for (const json& number : *found) {
    if (!number.is_number_unsigned() || number.get<uint64_t>() > INT64_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("has a ", key, " that is no list of sizes"));
    }
    numbers.push_back(number.get<int64_t>());
  }
  return numbers;
}

// Of one entry of the header; `data` is all that follows it, and `left` so many bytes of it as no
// entry has had yet. nullopt for a type that is left out.
absl::StatusOr<std::optional<Tensor>> ReadTensor(const json& entry, absl::string_view data,
                                                 int64_t* left) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string()) {
    return absl::InvalidArgumentError("has no dtype");
  }
  Tensor tensor;
  CYTOPRESS_ASSIGN_OR_RETURN(tensor.shape, Numbers(entry, "shape"));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, Numbers(entry, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1] ||
      offsets[1] > static_cast<int64_t>(data.size())) {
    return absl::InvalidArgumentError("lies outside of the file");
  }
  const int64_t bytes = offsets[1] - offsets[0];
  // Else a small file could name the same bytes as often as there is memory.
  if (bytes > *left) {
    return absl::InvalidArgumentError(
        "shares bytes with others, which the format forbids: together they have more than the "
        "file");
  }
  *left -= bytes;
  const FloatType* const type = FindFloatType(entry["dtype"].get<std::string>());
  if (type == nullptr) return std::nullopt;
  int64_t count = 1;
  for (const int64_t size : tensor.shape) {
    if (size > 0 && count > bytes / size) {
      return absl::InvalidArgumentError("is larger than its data");
    }
    count *= size;
  }
  if (count * type->bytes != bytes) {
    return absl::InvalidArgumentError("has data of another size than its shape");
  }
  tensor.values.reserve(count);
  for (const char* at = data.data() + offsets[0]; at < data.data() + offsets[1];
       at += type->bytes) {
    tensor.values.push_back(type->load(at));
  }
  return tensor;
}

}  // namespace

absl::StatusOr<TensorMap> ReadSafetensors(absl::string_view bytes) {
  if (bytes.size() < kLengthBytes) return Malformed("it ends within its first 8 bytes");
  const uint64_t header_bytes = Load<uint64_t>(bytes.data());
  bytes.remove_prefix(kLengthBytes);
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a safetensors file: by its first 8 bytes its header would have ",
                     header_bytes, " bytes; give what safetensors.torch.save_file has written"));
  }
  if (header_bytes > bytes.size()) {
    return Malformed(absl::StrCat("its header would have ", header_bytes, " bytes"));
  }
  const absl::string_view text = bytes.substr(0, header_bytes);
  const json header = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return Malformed("its header is not a JSON object");
  const absl::string_view data = bytes.substr(header_bytes);
  auto left = static_cast<int64_t>(data.size());
  TensorMap tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadata) continue;
    absl::StatusOr<std::optional<Tensor>> tensor = ReadTensor(entry, data, &left);
    if (!tensor.ok()) {
      return Malformed(absl::StrCat("the tensor '", name, "' ", tensor.status().message()));
    }
    if (tensor->has_value()) tensors[name] = **std::move(tensor);
  }
  return tensors;
}

}  // namespace cytopress
