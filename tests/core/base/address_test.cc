#include "core/base/address.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(IsUnixSocketTest, KnowsThemByTheirScheme) {
  for (const char* socket : {"unix:/run/a", "unix:a", "unix:///run/a", "unix-abstract:a"}) {
    EXPECT_TRUE(IsUnixSocket(socket)) << socket;
  }
  for (const char* other : {"unix", "unix.example.org:1", "127.0.0.1:8500", ""}) {
    EXPECT_FALSE(IsUnixSocket(other)) << other;
  }
}

TEST(IsLocalTest, IsOfThisMachineAlone) {
  for (const char* local :
       {"127.0.0.1:8500", "localhost:1", "localhost", "[::1]:8500", "dns:///localhost:8500",
        "127.1.2.3:1", "unix:/run/a", "unix-abstract:a"}) {
    EXPECT_TRUE(IsLocal(local)) << local;
  }
  for (const char* other :
       {"localhost.example.org:1", "12.7.0.1:1", "cells:8500", "0.0.0.0:8500", "[::]:8500", ""}) {
    EXPECT_FALSE(IsLocal(other)) << other;
  }
}

TEST(CheckPortTest, KnowsNumbersAndTheLargest) {
  for (const char* good :
       {"127.0.0.1:0", "localhost:65535", "[::1]:8500", "[fe80::a]", "unix:/run/a:99999",
        "unix-abstract:a:99999", "dns:///cells", "dns:///cells:8500", "cells",
        "cells:", "cells:https", "dns:cells", "ipv4:10.0.0.1", "fe80::a"}) {
    EXPECT_TRUE(CheckPort(good).ok()) << good;
  }
  for (const char* bad : {"127.0.0.1:65536", "localhost:99999", "[::1]:184467440737095516160",
                          "127.0.0.1:abc", "cells:grpc", "dns:///cells:abc", "cells:85OO"}) {
    EXPECT_EQ(CheckPort(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(CheckHostPortTest, WantsBoth) {
  for (const char* good : {"127.0.0.1:0", "0.0.0.0:8500", "localhost:65535", "[::1]:8500"}) {
    EXPECT_TRUE(CheckHostPort(good).ok()) << good;
  }
  for (const char* bad : {"", "8500", ":8500", "localhost", "localhost:", "localhost:grpc",
                          "::1:8500", "unix:/run/a", "127.0.0.1:65536"}) {
    EXPECT_EQ(CheckHostPort(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace cytopress
