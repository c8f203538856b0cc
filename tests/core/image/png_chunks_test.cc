#include "core/image/png_chunks.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/image/image.h"

namespace cytopress {
namespace {

constexpr size_t kAfterHeader = 8 + 25;  // the signature and the first chunk

std::string Chunk(const std::string& type, const std::string& data) {
  std::string chunk;
  for (int shift = 24; shift >= 0; shift -= 8) {
    chunk.push_back(static_cast<char>(data.size() >> shift & 0xff));
  }
  return chunk + type + data + "\1\2\3\4";
}

class PngChunksTest : public testing::Test {
 protected:
  std::string With(const std::string& chunks) const {
    std::string png = png_;
    return png.insert(kAfterHeader, chunks);
  }

  const std::string png_ = EncodePng({4, 4, 3, std::vector<uint8_t>(4 * 4 * 3, 7)}).value();
};

TEST_F(PngChunksTest, FindsProfilesAndTextThatAreCompressed) {
  EXPECT_FALSE(HasCompressedExtras(png_));
  for (const std::string type : {"iCCP", "iTXt", "zTXt"}) {
    EXPECT_TRUE(HasCompressedExtras(With(Chunk(type, "data")))) << type;
    EXPECT_TRUE(HasCompressedExtras(With(Chunk("gAMA", "1234") + Chunk(type, "")))) << type;
  }
}

TEST_F(PngChunksTest, LooksAtNoChunksData) {
  EXPECT_FALSE(HasCompressedExtras(With(Chunk("tEXt", "zTXt" + Chunk("iCCP", "data")))));
}

TEST_F(PngChunksTest, EndsWhereAFileIsDamaged) {
  const std::string png = With(Chunk("tEXt", "data") + Chunk("zTXt", "data"));
  for (size_t bytes = 0; bytes <= png.size(); ++bytes) {
    EXPECT_EQ(HasCompressedExtras(png.substr(0, bytes)), bytes >= kAfterHeader + 16 + 8) << bytes;
  }
  std::string endless = png;
  endless.replace(kAfterHeader, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(HasCompressedExtras(endless));
}

TEST_F(PngChunksTest, OtherFilesHaveNone) {
  for (const std::string file : {"", "\xff\xd8\xff\xe0 zTXt", "12345678\1\1\1\1zTXt"}) {
    EXPECT_FALSE(HasCompressedExtras(file)) << file;
  }
}

}  // namespace
}  // namespace cytopress
