#include "core/base/processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(ProcessorTest, KnowsTheWidestDotProducts) {
  EXPECT_EQ(WidestDotProducts("fpu avx2 avx_vnni avx512_vnni amx_bf16 amx_tile amx_int8"),
            "amx-int8");
  EXPECT_EQ(WidestDotProducts("fpu avx2 avx_vnni avx512_vnni amx_bf16"), "avx512-vnni");
  EXPECT_EQ(WidestDotProducts("fpu avx2 avx_vnni avx_vnni_int8"), "avx-vnni");
  EXPECT_EQ(WidestDotProducts("fpu avx2 fma"), "avx2");
  EXPECT_EQ(WidestDotProducts("fpu sse2 avx"), "x86-64");
  EXPECT_EQ(WidestDotProducts(""), "portable");
}

TEST(ProcessorTest, ItsNameEndsWithThem) {
  EXPECT_THAT(
      ProcessorName(),
      testing::MatchesRegex(".+ \\((amx-int8|avx512-vnni|avx-vnni|avx2|x86-64|portable)\\)"));
}

}  // namespace
}  // namespace cytopress
