// The library that multiplies LibTorch's matrices on CPUs. A package may replace it below the same
// LibTorch.
#ifndef CYTOPRESS_CORE_COMPRESSION_BLAS_H_
#define CYTOPRESS_CORE_COMPRESSION_BLAS_H_

#include <string>

namespace cytopress {

// Its name and version, with the kernels that it has chosen where it tells.
std::string BlasVersion();

// OpenBLAS takes a CPU that is newer than itself for a Prescott of 2004: without AVX, FP32 trains
// at a third of the speed. Where it does so and the CPU has more, the program is executed again,
// with the same arguments, and OPENBLAS_CORETYPE set to kernels that fit; otherwise, and where that
// variable is set already, this returns. To be called first thing in main(): threads and memory are
// lost, and descriptors without CLOEXEC stay open.
void UseBlasKernelsOfThisCpu(char** argv);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_BLAS_H_
