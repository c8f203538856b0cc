#include "core/base/memory.h"

#include <malloc.h>

namespace cytopress {

void ReturnFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace cytopress
