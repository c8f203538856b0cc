#include "core/safetensors/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/safetensors/write_safetensors.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Entry(const std::string& type, const std::string& shape, const std::string& offsets) {
  return absl::StrCat(R"({"w": {"dtype": ")", type, R"(", "shape": )", shape,
                      R"(, "data_offsets": )", offsets, "}}");
}

std::vector<float> ValuesOf(const std::string& file) {
  const absl::StatusOr<TensorMap> tensors = ReadSafetensors(file);
  EXPECT_TRUE(tensors.ok()) << tensors.status();
  return tensors.ok() ? tensors->at("w").values : std::vector<float>();
}

TEST(ReadSafetensors, GivesBackWhatWasWritten) {
  TensorMap written;
  written["a"] = {{2, 3}, {1, 2, 3, 4, 5, 6}};
  written["layer.0.b"] = {{}, {-0.5f}};
  const absl::StatusOr<TensorMap> read = ReadSafetensors(WriteSafetensors(written, "net."));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(*read, SizeIs(2));
  EXPECT_THAT(read->at("net.a").shape, ElementsAre(2, 3));
  EXPECT_THAT(read->at("net.a").values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(read->at("net.layer.0.b").shape, ElementsAre());
  EXPECT_THAT(read->at("net.layer.0.b").values, ElementsAre(-0.5f));
}

TEST(ReadSafetensors, ReadsEveryFloatingPointType) {
  using std::string;
  // 1.5 and -2 as IEEE 754 has them, lowest byte first.
  EXPECT_THAT(ValuesOf(SafetensorsFile(Entry("F64", "[2]", "[0, 16]"),
                                       string("\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\0\xc0", 16))),
              ElementsAre(1.5f, -2));
  EXPECT_THAT(
      ValuesOf(SafetensorsFile(Entry("F32", "[2]", "[0, 8]"), string("\0\0\xc0\x3f\0\0\0\xc0", 8))),
      ElementsAre(1.5f, -2));
  EXPECT_THAT(ValuesOf(SafetensorsFile(Entry("F16", "[2]", "[0, 4]"), string("\0\x3e\0\xc0", 4))),
              ElementsAre(1.5f, -2));
  EXPECT_THAT(
      ValuesOf(SafetensorsFile(Entry("BF16", "[2]", "[0, 4]"), string("\xc0\x3f\0\xc0", 4))),
      ElementsAre(1.5f, -2));
}

TEST(ReadSafetensors, LeavesOutWhatAreNoFloats) {
  const absl::StatusOr<TensorMap> read =
      ReadSafetensors(SafetensorsFile(Entry("I64", "[]", "[0, 8]"), std::string(8, '\0')));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(0));
}

TEST(ReadSafetensors, SaysWhatIsWrongWithAFile) {
  const std::string eight(8, '\0');
  const struct {
    std::string file, wrong;
  } cases[] = {
      {"", "first 8 bytes"},
      {"1234567", "first 8 bytes"},
      {std::string(8, '\xff'),
       "not a safetensors file: by its first 8 bytes its header would have 18446744073709551615 "
       "bytes"},
      {SafetensorsFile("{}", "").substr(0, 9), "its header would have 2 bytes"},
      {SafetensorsFile("[1, 2]", ""), "not a JSON object"},
      {SafetensorsFile("{\"w\": ", ""), "not a JSON object"},
      {SafetensorsFile(R"({"w": 7})", ""), "'w' has no dtype"},
      {SafetensorsFile(R"({"w": {"dtype": "F32"}})", ""), "has no list shape"},
      {SafetensorsFile(Entry("F32", "[-2]", "[0, 8]"), eight), "no list of sizes"},
      {SafetensorsFile(Entry("F32", "[1.5]", "[0, 8]"), eight), "no list of sizes"},
      {SafetensorsFile(Entry("F32", "[18446744073709551615]", "[0, 8]"), eight),
       "no list of sizes"},
      {SafetensorsFile(Entry("F32", "[2]", "[0, 9]"), eight), "outside of the file"},
      {SafetensorsFile(Entry("F32", "[2]", "[8, 0]"), eight), "outside of the file"},
      {SafetensorsFile(Entry("F32", "[2]", "[0]"), eight), "outside of the file"},
      {SafetensorsFile(Entry("F32", "[3]", "[0, 8]"), eight), "another size"},
      {SafetensorsFile(Entry("F32", "[0]", "[0, 8]"), eight), "another size"},
      {SafetensorsFile(Entry("F32", "[4294967296, 4294967296]", "[0, 8]"), eight),
       "larger than its data"},
      {SafetensorsFile(Entry("F32", "[9223372036854775807, 2]", "[0, 8]"), eight),
       "larger than its data"},
  };
  for (const auto& [file, wrong] : cases) {
    const absl::Status status = ReadSafetensors(file).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(status.message(), HasSubstr(wrong));
  }
}

// Each of them lies within the file.
TEST(ReadSafetensors, RefusesTensorsThatShareTheirBytes) {
  const auto read = [](const std::string& type) {
    return ReadSafetensors(SafetensorsFile(
        absl::StrCat(R"({"a": {"dtype": ")", type, R"(", "shape": [1], "data_offsets": [0, 8]},)",
                     R"("b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},)",
                     R"("c": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})"),
        std::string(12, '\0')));
  };
  for (const char* type : {"F64", "I64"}) {  // the latter is left out
    const absl::Status status = read(type).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("the tensor 'c' shares bytes with others"));
  }
}

TEST(ReadSafetensors, SurvivesEveryCutAndEveryFlippedByteOfItsHeader) {
  TensorMap written;
  written["conv1.weight"] = {{2, 2}, {1, 2, 3, 4}};
  const std::string file = WriteSafetensors(written);
  for (size_t end = 0; end < file.size(); ++end) {
    EXPECT_FALSE(ReadSafetensors(file.substr(0, end)).ok()) << end;
  }
  for (size_t i = 0; i < file.size(); ++i) {
    for (const char flip : {'\x01', '\x10', '\x80'}) {
      std::string damaged = file;
      damaged[i] ^= flip;
      ReadSafetensors(damaged).IgnoreError();  // must return
    }
  }
}

}  // namespace
}  // namespace cytopress
