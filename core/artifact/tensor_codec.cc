#include "core/artifact/tensor_codec.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/artifact/float16.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

uint32_t ToFloat32Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float FromFloat32Bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Byte planes: the lowest byte of every value, then the next byte of every value, and so on. Side
// by side, exponents compress; scattered among the noise of the mantissas they do not.
template <typename Bits>
void AppendPlanes(const std::vector<float>& values, Bits (*to_bits)(float), std::string& out) {
  const size_t begin = out.size();
  const size_t count = values.size();
  out.resize(begin + count * sizeof(Bits));
  for (size_t i = 0; i < count; ++i) {
    const Bits bits = to_bits(values[i]);
    for (size_t plane = 0; plane < sizeof(Bits); ++plane) {
      out[begin + plane * count + i] = static_cast<char>(bits >> (8 * plane));
    }
  }
}

template <typename Bits>
std::vector<float> FromPlanes(absl::string_view bytes, float (*from_bits)(Bits)) {
  const size_t count = bytes.size() / sizeof(Bits);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    Bits bits = 0;
    for (size_t plane = 0; plane < sizeof(Bits); ++plane) {
      const Bits byte = static_cast<uint8_t>(bytes[plane * count + i]);
      bits = static_cast<Bits>(bits | byte << (8 * plane));
    }
    values[i] = from_bits(bits);
  }
  return values;
}

// Two's complement nibbles, the earlier value in the lower half.
void AppendNibbles(const std::vector<int8_t>& integers, std::string& out) {
  for (size_t i = 0; i < integers.size(); i += 2) {
    const int low = integers[i] & 0xf;
    const int high = i + 1 < integers.size() ? integers[i + 1] & 0xf : 0;
    out.push_back(static_cast<char>(low | (high << 4)));
  }
}

std::vector<int8_t> FromNibbles(absl::string_view bytes, int64_t count) {
  std::vector<int8_t> integers(count);
  for (int64_t i = 0; i < count; ++i) {
    const int nibble = (bytes[i / 2] >> (i % 2 * 4)) & 0xf;
    integers[i] = static_cast<int8_t>((nibble ^ 8) - 8);
  }
  return integers;
}

int64_t Groups(const TensorLayout& layout) {
  return layout.group_size > 0 ? layout.shape[0] * GroupsOfChannel(layout.shape, layout.group_size)
                               : 0;
}

// Calls `visit(integer, multiplier)` for every integer of a tensor that has groups.
template <typename Visit>
void ForEachInGroups(StoredTensor& tensor, const Visit& visit) {
  const int64_t channel = tensor.count() / tensor.shape[0];
  const int64_t groups = GroupsOfChannel(tensor.shape, tensor.group_size);
  int64_t i = 0;
  for (int64_t group = 0; group < tensor.shape[0] * groups; ++group) {
    const int64_t left_of_channel = (group / groups + 1) * channel - i;
    const int64_t end = i + std::min(tensor.group_size, left_of_channel);
    for (; i < end; ++i) visit(tensor.integers[i], tensor.multipliers[group]);
  }
}

int64_t ValueBytes(Encoding encoding, int64_t count) {
  switch (encoding) {
    case Encoding::kFloat32:
      return count * 4;
    case Encoding::kFloat16:
      return count * 2;
    case Encoding::kInt8:
      return count;
    case Encoding::kInt4:
      return (count + 1) / 2;
  }
  return 0;
}

// Whether a value is written as nothing but zero bits: -0 is not.
bool IsZero(const StoredTensor& tensor, int64_t i) {
  switch (tensor.encoding) {
    case Encoding::kFloat32:
      return ToFloat32Bits(tensor.floats[i]) == 0;
    case Encoding::kFloat16:
      return ToFloat16(tensor.floats[i]) == 0;
    case Encoding::kInt8:
    case Encoding::kInt4:
      return tensor.integers[i] == 0;
  }
  return false;
}

// Either floats or integers, as the encoding has it.
struct Values {
  std::vector<float> floats;
  std::vector<int8_t> integers;
};

void AppendValues(Encoding encoding, const std::vector<float>& floats,
                  const std::vector<int8_t>& integers, std::string& out) {
  switch (encoding) {
    case Encoding::kFloat32:
      return AppendPlanes(floats, ToFloat32Bits, out);
    case Encoding::kFloat16:
      return AppendPlanes(floats, ToFloat16, out);
    case Encoding::kInt8:
      out.append(reinterpret_cast<const char*>(integers.data()), integers.size());
      return;
    case Encoding::kInt4:
      return AppendNibbles(integers, out);
  }
}

Values FromValueBytes(Encoding encoding, absl::string_view bytes, int64_t count) {
  switch (encoding) {
    case Encoding::kFloat32:
      return {FromPlanes(bytes, FromFloat32Bits), {}};
    case Encoding::kFloat16:
      return {FromPlanes(bytes, FromFloat16), {}};
    case Encoding::kInt8:
      return {{}, std::vector<int8_t>(bytes.begin(), bytes.end())};
    case Encoding::kInt4:
      return {{}, FromNibbles(bytes, count)};
  }
  return {};
}

int64_t MaskBytes(const TensorLayout& layout) {
  return layout.sparse ? (layout.count() + 7) / 8 : 0;
}

int64_t ValueCount(const TensorLayout& layout) {
  return layout.sparse ? layout.nonzeros : layout.count();
}

// Bit i % 8 of byte i / 8 is set where value i is not zero.
void AppendMaskAndValues(const StoredTensor& tensor, std::string& out) {
  const int64_t count = tensor.count();
  const size_t begin = out.size();
  out.resize(begin + (count + 7) / 8);
  Values nonzeros;
  for (int64_t i = 0; i < count; ++i) {
    if (IsZero(tensor, i)) continue;
    out[begin + i / 8] = static_cast<char>(out[begin + i / 8] | 1 << (i % 8));
    if (IsInteger(tensor.encoding)) {
      nonzeros.integers.push_back(tensor.integers[i]);
    } else {
      nonzeros.floats.push_back(tensor.floats[i]);
    }
  }
  AppendValues(tensor.encoding, nonzeros.floats, nonzeros.integers, out);
}

// Puts `nonzeros` where the mask has bits. False when they are not as many as the bits.
template <typename T>
bool Scatter(absl::string_view mask, const std::vector<T>& nonzeros, std::vector<T>& values) {
  size_t next = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if ((mask[i / 8] >> (i % 8) & 1) == 0) continue;
    if (next == nonzeros.size()) return false;
    values[i] = nonzeros[next++];
  }
  return next == nonzeros.size();
}

}  // namespace

bool IsInteger(Encoding encoding) {
  return encoding == Encoding::kInt8 || encoding == Encoding::kInt4;
}

int64_t TensorLayout::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<int64_t>());
}

TensorLayout ChooseLayout(const StoredTensor& tensor) {
  TensorLayout layout{tensor.encoding, tensor.shape};
  layout.group_size = tensor.group_size;
  const int64_t count = tensor.count();
  int64_t zeros = 0;
  for (int64_t i = 0; i < count; ++i) zeros += IsZero(tensor, i) ? 1 : 0;
  // zstd spends at least half a bit on a nibble, so that many zeros are cheaper in a mask; from
  // which share on was measured (docs/artifact-format.md).
  layout.sparse = tensor.encoding == Encoding::kInt4 ? zeros > count / 4 * 3 : zeros > count / 2;
  layout.nonzeros = count - zeros;
  return layout;
}

int64_t PackedBytes(const TensorLayout& layout) {
  return MaskBytes(layout) + ValueBytes(layout.encoding, ValueCount(layout)) +
         (IsInteger(layout.encoding) ? layout.shape[0] * 4 : 0) + (Groups(layout) + 1) / 2;
}

void AppendPacked(const StoredTensor& tensor, const TensorLayout& layout, std::string& out) {
  if (tensor.group_size > 0) {
    StoredTensor plain = tensor;
    ForEachInGroups(plain, [](int8_t& integer, uint8_t multiplier) {
      integer = static_cast<int8_t>(integer / multiplier);
    });
    plain.group_size = 0;
    TensorLayout plain_layout = layout;
    plain_layout.group_size = 0;
    AppendPacked(plain, plain_layout, out);
    std::vector<int8_t> nibbles;
    for (const uint8_t multiplier : tensor.multipliers) {
      nibbles.push_back(static_cast<int8_t>(multiplier - 1));
    }
    return AppendNibbles(nibbles, out);
  }
  if (layout.sparse) {
    AppendMaskAndValues(tensor, out);
  } else {
    AppendValues(tensor.encoding, tensor.floats, tensor.integers, out);
  }
  AppendPlanes(tensor.scales, ToFloat32Bits, out);
}

absl::StatusOr<StoredTensor> Unpack(absl::string_view bytes, const TensorLayout& layout) {
  if (layout.group_size > 0) {
    TensorLayout plain = layout;
    plain.group_size = 0;
    const int64_t plain_bytes = PackedBytes(plain);
    CYTOPRESS_ASSIGN_OR_RETURN(StoredTensor tensor, Unpack(bytes.substr(0, plain_bytes), plain));
    tensor.group_size = layout.group_size;
    for (const int8_t nibble : FromNibbles(bytes.substr(plain_bytes), Groups(layout))) {
      tensor.multipliers.push_back(static_cast<uint8_t>((nibble & 0xf) + 1));
    }
    ForEachInGroups(tensor, [](int8_t& integer, uint8_t multiplier) {
      integer = static_cast<int8_t>(integer * multiplier);
    });
    return tensor;
  }
  const absl::string_view mask = bytes.substr(0, MaskBytes(layout));
  bytes.remove_prefix(mask.size());
  const int64_t value_bytes = ValueBytes(layout.encoding, ValueCount(layout));
  Values values = FromValueBytes(layout.encoding, bytes.substr(0, value_bytes), ValueCount(layout));
  bytes.remove_prefix(value_bytes);
  StoredTensor tensor;
  tensor.encoding = layout.encoding;
  tensor.shape = layout.shape;
  tensor.scales = FromPlanes(bytes, FromFloat32Bits);
  if (!layout.sparse) {
    tensor.floats = std::move(values.floats);
    tensor.integers = std::move(values.integers);
    return tensor;
  }
  const bool integer = IsInteger(layout.encoding);
  (integer ? tensor.integers.resize(tensor.count()) : tensor.floats.resize(tensor.count()));
  if (integer ? !Scatter(mask, values.integers, tensor.integers)
              : !Scatter(mask, values.floats, tensor.floats)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the mask of a tensor does not have its ", layout.nonzeros, " values"));
  }
  return tensor;
}

}  // namespace cytopress
