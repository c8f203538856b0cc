// A disk that cannot be read now, and can later.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/core/registry/registry_fixture.h"

namespace cytopress {
namespace {

std::atomic<bool> disk_fails{false};

}  // namespace
}  // namespace cytopress

// Of the whole program, in place of the C library's.
extern "C" ssize_t read(int file, void* out, size_t bytes) {
  if (!cytopress::disk_fails) return syscall(SYS_read, file, out, bytes);
  errno = EIO;
  return -1;
}

namespace cytopress {
namespace {

using ::testing::HasSubstr;

class DiskErrorTest : public RegistryTest {
 protected:
  ~DiskErrorTest() override { disk_fails = false; }
};

// Neither damaged nor missing: whoever asks again may succeed.
TEST_F(DiskErrorTest, IsNoFaultOfTheFile) {
  Publish("blood");
  disk_fails = true;
  for (int i = 0; i < 2; ++i) {
    for (const absl::Status& status :
         {registry_.Read({"blood", 1}).status(), registry_.Get({"blood", 1}).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
      EXPECT_THAT(std::string(status.message()), HasSubstr(PathIn("blood", "1.cyp")));
      EXPECT_THAT(std::string(status.message()), HasSubstr("Input/output error"));
    }
  }
  disk_fails = false;
  const absl::StatusOr<std::string> bytes = registry_.Read({"blood", 1});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, SampleFile());
  EXPECT_TRUE(registry_.Get({"blood", 1}).ok());
}

}  // namespace
}  // namespace cytopress
