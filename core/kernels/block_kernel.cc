#include "core/kernels/block_kernel.h"

#include "core/kernels/onednn.h"

namespace cytopress {
namespace {

struct KernelForIsa {
  dnnl::cpu_isa isa;
  const BlockKernel* (*kernel)();
};
constexpr KernelForIsa kBestFirst[] = {
    {dnnl::cpu_isa::avx512_core_amx, AmxBlockKernel},
    {dnnl::cpu_isa::avx512_core_vnni, Avx512VnniBlockKernel},
    {dnnl::cpu_isa::avx2_vnni, AvxVnniBlockKernel},
    {dnnl::cpu_isa::avx2, Avx2BlockKernel},
};

}  // namespace

const BlockKernel& BestBlockKernel() {
  for (const KernelForIsa& best : kBestFirst) {
    if (!HasIsa(best.isa)) continue;
    if (const BlockKernel* kernel = best.kernel()) return *kernel;
  }
  return PortableBlockKernel();
}

}  // namespace cytopress
