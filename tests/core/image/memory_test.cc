// Images for which there is little memory: no copies of what is large, and errors without it.
#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <string>

#include "core/image/codec.h"
#include "core/image/image.h"
#include "tests/core/image/drawing.h"
#include "tests/replaced_new.h"

namespace cytopress {
namespace {

// There is no memory for so many bytes at once.
thread_local size_t refused_bytes = std::numeric_limits<size_t>::max();

class ScarceMemory {
 public:
  explicit ScarceMemory(size_t bytes) { refused_bytes = bytes; }
  ~ScarceMemory() { refused_bytes = std::numeric_limits<size_t>::max(); }
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;
};

}  // namespace

void* Allocate(size_t bytes) {
  if (bytes >= refused_bytes) return nullptr;
  return AllocateOf(bytes);
}

namespace {

TEST(ImageMemoryTest, AJpegThatCannotGrowIsAnError) {
  const Image image = DrawPattern(256, 256, 3);
  const std::string jpeg = EncodeJpeg(image, 100).value();
  ASSERT_GT(jpeg.size(), size_t{1} << 14);
  EXPECT_EQ(jpeg.substr(jpeg.size() - 2), "\xff\xd9");
  for (const size_t bytes : {size_t{1} << 12, size_t{1} << 13, size_t{1} << 14}) {
    absl::StatusCode code;
    {
      const ScarceMemory scarce(bytes);
      code = EncodeJpeg(image, 100).status().code();
    }
    EXPECT_EQ(code, absl::StatusCode::kResourceExhausted) << bytes;
  }
  EXPECT_EQ(EncodeJpeg(image, 100).value(), jpeg);
}

TEST(ImageMemoryTest, AnImageThatIsNotCutIsNotCopied) {
  const Image image = DrawPattern(512, 512, 3);
  absl::Status status;
  {
    const ScarceMemory scarce(image.pixels.size());
    status = Preprocess(image, Preprocessing()).status();
  }
  EXPECT_EQ(status, absl::OkStatus());
}

}  // namespace
}  // namespace cytopress
