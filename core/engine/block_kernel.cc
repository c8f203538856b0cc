#include "core/engine/block_kernel.h"

namespace cytopress {

const BlockKernel& BestBlockKernel() {
  if (const BlockKernel* amx = AmxBlockKernel()) return *amx;
  if (const BlockKernel* vnni = Avx512VnniBlockKernel()) return *vnni;
  if (const BlockKernel* narrow = AvxVnniBlockKernel()) return *narrow;
  if (const BlockKernel* avx2 = Avx2BlockKernel()) return *avx2;
  return PortableBlockKernel();
}

}  // namespace cytopress
