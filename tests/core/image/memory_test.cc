// Images for which there is little memory: no copies of what is large, and errors without it.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>

#include "core/image/codec.h"
#include "core/image/image.h"
#include "tests/core/image/drawing.h"

namespace {

// There is no memory for so many bytes at once.
thread_local size_t refused_bytes = std::numeric_limits<size_t>::max();

void* Allocate(size_t bytes) {
  if (bytes >= refused_bytes) return nullptr;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

class ScarceMemory {
 public:
  explicit ScarceMemory(size_t bytes) { refused_bytes = bytes; }
  ~ScarceMemory() { refused_bytes = std::numeric_limits<size_t>::max(); }
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;
};

}  // namespace

// In place of the C++ library's, for the whole program. Not inlined: GCC would take free() for a
// mistake.
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (void* const memory = Allocate(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return Allocate(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace cytopress {
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
