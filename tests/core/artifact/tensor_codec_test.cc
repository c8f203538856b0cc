#include "core/artifact/tensor_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/artifact/float16.h"

namespace cytopress {
namespace {

using testing::ElementsAre;

TensorLayout Dense(const StoredTensor& tensor) { return {tensor.encoding, tensor.shape}; }

TensorLayout Sparse(const StoredTensor& tensor, int64_t nonzeros) {
  return {tensor.encoding, tensor.shape, true, nonzeros};
}

std::string Pack(const StoredTensor& tensor, const TensorLayout& layout) {
  std::string out;
  AppendPacked(tensor, layout, out);
  EXPECT_EQ(static_cast<int64_t>(out.size()), PackedBytes(layout));
  return out;
}

std::string Pack(const StoredTensor& tensor) { return Pack(tensor, Dense(tensor)); }

StoredTensor Unpacked(const std::string& bytes, const StoredTensor& like) {
  return Unpack(bytes, Dense(like)).value();
}

TEST(TensorCodecTest, NibblesAreTwosComplementLowHalfFirst) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt4;
  tensor.shape = {1, 3};
  tensor.integers = {1, -7, 7};
  tensor.scales = {1.0f};
  const std::string bytes = Pack(tensor);
  EXPECT_EQ(bytes, std::string("\x91\x07\x00\x00\x80\x3f", 6));
  EXPECT_THAT(Unpacked(bytes, tensor).integers, ElementsAre(1, -7, 7));
  EXPECT_THAT(Unpacked(bytes, tensor).scales, ElementsAre(1.0f));
}

TEST(TensorCodecTest, EveryInteger) {
  for (const Encoding encoding : {Encoding::kInt8, Encoding::kInt4}) {
    StoredTensor tensor;
    tensor.encoding = encoding;
    const int largest = encoding == Encoding::kInt4 ? 7 : 127;
    for (int value = -largest; value <= largest; ++value) {
      tensor.integers.push_back(static_cast<int8_t>(value));
    }
    tensor.shape = {1, 2 * largest + 1};  // odd
    tensor.scales = {0.5f};
    EXPECT_EQ(Unpacked(Pack(tensor), tensor).integers, tensor.integers);
  }
}

TEST(TensorCodecTest, FloatsAreBytePlanes) {
  StoredTensor tensor;
  tensor.shape = {2};
  tensor.floats = {1.0f, -1.5f};  // 3f800000, bfc00000
  EXPECT_EQ(Pack(tensor), std::string("\x00\x00\x00\x00\x80\xc0\x3f\xbf", 8));
  EXPECT_EQ(Unpacked(Pack(tensor), tensor).floats, tensor.floats);

  tensor.encoding = Encoding::kFloat16;  // 3c00, be00
  EXPECT_EQ(Pack(tensor), std::string("\x00\x00\x3c\xbe", 4));
  EXPECT_EQ(Unpacked(Pack(tensor), tensor).floats, tensor.floats);
}

TEST(TensorCodecTest, Float16Rounds) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kFloat16;
  tensor.shape = {1};
  tensor.floats = {0.1f};
  EXPECT_THAT(Unpacked(Pack(tensor), tensor).floats, ElementsAre(FromFloat16(ToFloat16(0.1f))));
}

TEST(TensorCodecTest, SparseIsAMaskAndTheRest) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt4;
  tensor.shape = {1, 10};
  tensor.integers = {0, 5, 0, 0, 0, 0, 0, -1, 0, 3};
  tensor.scales = {1.0f};
  const TensorLayout layout = Sparse(tensor, 3);
  const std::string bytes = Pack(tensor, layout);
  EXPECT_EQ(bytes, std::string("\x82\x02\xf5\x03\x00\x00\x80\x3f", 8));
  EXPECT_EQ(Unpack(bytes, layout)->integers, tensor.integers);
  EXPECT_THAT(Unpack(bytes, layout)->scales, ElementsAre(1.0f));
}

TEST(TensorCodecTest, EveryEncodingReturnsFromTheSparseLayout) {
  for (const Encoding encoding :
       {Encoding::kFloat32, Encoding::kFloat16, Encoding::kInt8, Encoding::kInt4}) {
    StoredTensor tensor;
    tensor.encoding = encoding;
    tensor.shape = {1, 13};
    if (IsInteger(encoding)) {
      tensor.integers = {0, 0, 1, 0, 0, 0, -7, 0, 0, 0, 0, 0, 2};
      tensor.scales = {0.5f};
    } else {
      tensor.floats = {0, 0, 1, 0, 0, 0, -7, 0, 0, 0, 0, 0, 0.5f};
    }
    const TensorLayout layout = ChooseLayout(tensor);
    EXPECT_TRUE(layout.sparse);
    EXPECT_EQ(layout.nonzeros, 3);
    const absl::StatusOr<StoredTensor> back = Unpack(Pack(tensor, layout), layout);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->floats, tensor.floats);
    EXPECT_EQ(back->integers, tensor.integers);
  }
}

// Groups of two values: nibbles of integer / multiplier, then the scale, then multipliers less one.
TEST(TensorCodecTest, GroupsKeepFourBitsAndAMultiplier) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt4;
  tensor.shape = {1, 5};
  tensor.integers = {5, -7, 3, 0, -112};
  tensor.scales = {1.0f};
  tensor.group_size = 2;
  tensor.multipliers = {1, 3, 16};
  const TensorLayout layout = ChooseLayout(tensor);
  EXPECT_FALSE(layout.sparse);
  const std::string bytes = Pack(tensor, layout);
  EXPECT_EQ(bytes, std::string("\x95\x01\x09\x00\x00\x80\x3f\x20\x0f", 9));
  const absl::StatusOr<StoredTensor> back = Unpack(bytes, layout);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->integers, tensor.integers);
  EXPECT_EQ(back->multipliers, tensor.multipliers);
  EXPECT_EQ(back->group_size, 2);
}

TEST(TensorCodecTest, GroupsReturnFromTheSparseLayout) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt4;
  tensor.shape = {2, 10};
  tensor.integers = {0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -14};
  tensor.scales = {1.0f, 2.0f};
  tensor.group_size = 8;
  tensor.multipliers = {3, 1, 1, 2};
  const TensorLayout layout = ChooseLayout(tensor);
  EXPECT_TRUE(layout.sparse);
  const absl::StatusOr<StoredTensor> back = Unpack(Pack(tensor, layout), layout);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->integers, tensor.integers);
  EXPECT_EQ(back->scales, tensor.scales);
}

TEST(TensorCodecTest, MinusZeroStays) {
  StoredTensor tensor;
  tensor.shape = {4};
  tensor.floats = {0.0f, -0.0f, 0.0f, 0.0f};
  const TensorLayout layout = ChooseLayout(tensor);
  EXPECT_EQ(layout.nonzeros, 1);
  EXPECT_TRUE(std::signbit(Unpack(Pack(tensor, layout), layout)->floats[1]));
}

TEST(TensorCodecTest, FewZerosStayInPlace) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt4;
  tensor.shape = {1, 8};
  tensor.integers = {0, 0, 0, 0, 0, 0, 1, 1};
  tensor.scales = {1.0f};
  EXPECT_FALSE(ChooseLayout(tensor).sparse);  // three quarters are the limit
  tensor.encoding = Encoding::kInt8;
  EXPECT_TRUE(ChooseLayout(tensor).sparse);
  tensor.integers = {0, 0, 0, 0, 1, 1, 1, 1};
  EXPECT_FALSE(ChooseLayout(tensor).sparse);
}

TEST(TensorCodecTest, AMaskMustHaveItsValues) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt8;
  tensor.shape = {1, 10};
  tensor.integers = {0, 5, 0, 0, 0, 0, 0, -1, 0, 3};
  tensor.scales = {1.0f};
  const TensorLayout layout = Sparse(tensor, 3);
  const std::string bytes = Pack(tensor, layout);
  for (const char first_mask_byte : {'\x80', '\x83'}) {  // one bit fewer, one more
    std::string wrong = bytes;
    wrong[0] = first_mask_byte;
    EXPECT_EQ(Unpack(wrong, layout).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace cytopress
