#include "core/base/out_of_memory.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(SaysOutOfMemory, KnowsTheWordsOfLibTorch) {
  for (const char* what :
       {"[enforce fail at alloc_cpu.cpp:80] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4000000000000 bytes.",
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"}) {
    EXPECT_TRUE(SaysOutOfMemory(what)) << what;
  }
  EXPECT_FALSE(SaysOutOfMemory("CUDA error: an illegal memory access was encountered"));
  EXPECT_FALSE(SaysOutOfMemory(""));
}

}  // namespace
}  // namespace cytopress
