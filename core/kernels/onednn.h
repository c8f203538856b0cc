// The wrapper of oneDNN's types; it alone knows where the major versions 2 and 3 differ.
//
// Errors surface as dnnl::error. Thread-compatible.
//
// Primitives are built for the calling thread's number of OpenMP threads and must run with the
// same.
#ifndef CYTOPRESS_CORE_KERNELS_ONEDNN_H_
#define CYTOPRESS_CORE_KERNELS_ONEDNN_H_

#include <dnnl.hpp>
#include <utility>
#include <vector>

#include "core/kernels/convolution.h"

namespace cytopress {

// Whether this CPU has these instructions. oneDNN's environment variable ONEDNN_MAX_CPU_ISA bounds
// the answer, here and in all that follows, for oneDNN's kernels as for those of this folder.
bool HasIsa(dnnl::cpu_isa wanted);

// Whether this CPU multiplies 8-bit integers without saturating on the way (AVX512-VNNI, AVX-VNNI).
// Older ones add pairs of u8 x s8 products in 16 bits, which overflow: oneDNN's INT8 is wrong there
// and the block engine's is not.
bool HasExactInt8();

// What it multiplies 8-bit integers with. REQUIRES: HasExactInt8().
enum class IntegerUnit { kAmx, kAvx512Vnni, kAvxVnni };
IntegerUnit BestIntegerUnit();

// Whether this CPU multiplies BF16 (AVX512-BF16, AMX).
bool HasBfloat16();

// One primitive and the memory it works on. Addresses are set before the first Run and after every
// move of the memory.
class Operation {
 public:
  Operation(dnnl::primitive primitive, size_t scratch_bytes)
      : primitive_(std::move(primitive)), scratch_bytes_(scratch_bytes) {}
  // A copy has addresses of its own and shares all else; it may run while the original does.
  Operation(const Operation& other);
  Operation& operator=(const Operation&) = delete;
  Operation(Operation&&) = default;
  Operation& operator=(Operation&&) = default;

  void AddConstant(int argument, const dnnl::memory& memory);
  // One whose address is set later.
  void AddUnbound(int argument, const dnnl::memory::desc& layout);
  void SetAddress(int argument, void* address);
  void Run() const;

  // Bytes of working memory at DNNL_ARG_SCRATCHPAD, 64-byte aligned.
  size_t scratch_bytes() const { return scratch_bytes_; }

 private:
  void Add(int argument, const dnnl::memory& memory, bool is_constant);

  dnnl::primitive primitive_;
  size_t scratch_bytes_;
  std::vector<dnnl::memory> memories_;  // keep what arguments_ points to alive
  std::vector<bool> is_constant_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

// The constants of one convolution in every memory layout that its primitives asked for. Plans for
// several batch sizes share them.
class PackedConstants {
 public:
  // `convolution` must outlive the object, its weights as long as they are needed.
  explicit PackedConstants(const Convolution& convolution);

  const Convolution& convolution() const { return *convolution_; }
  // The weights in `layout`, reordered at the first request: the same numbers, whatever they are
  // reordered from.
  dnnl::memory Weights(const dnnl::memory::desc& layout);
  // Whether the convolution's own weights may be read again: at first, and for ever where other
  // layouts cannot be made of a packed one.
  bool needs_plain_weights() const;
  const dnnl::memory& bias() const { return bias_; }
  const dnnl::memory& multiplier() const { return multiplier_; }

 private:
  const Convolution* convolution_;
  std::vector<std::pair<dnnl::memory::desc, dnnl::memory>> layouts_;
  dnnl::memory bias_;
  dnnl::memory multiplier_;  // an argument of oneDNN 3.x; 2.x takes it as an attribute
};

Operation MakeConvolution(PackedConstants& constants, int batch);

struct MaxPool {
  int channels = 0;
  int in_height = 0;
  int in_width = 0;
  int out_height = 0;
  int out_width = 0;
  int kernel = 1;
  int stride = 1;
  int padding = 0;
  DataType type = DataType::kFloat32;
};
Operation MakeMaxPool(const MaxPool& pool, int batch);

const dnnl::engine& CpuEngine();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_ONEDNN_H_
