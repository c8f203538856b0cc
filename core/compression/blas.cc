#include "core/compression/blas.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/compression/precision.h"

namespace cytopress {
namespace {

// Of OpenBLAS, which says it as a string; null where it is another library.
const char* AskOpenBlas(const char* function) {
  using Function = char* (*)();
  const auto ask = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, function));
  return ask == nullptr ? nullptr : ask();
}

// What OPENBLAS_CORETYPE calls the widest kernels that this CPU can run; null below AVX2.
const char* FittingKernels() {
  if (CpuHasAvx512()) return "SkylakeX";
  return CpuHasAvx2() ? "Haswell" : nullptr;
}

}  // namespace

std::string BlasVersion() {
  if (at::hasMKL()) return at::get_mkl_version();
  void* const sgemm = dlsym(RTLD_DEFAULT, "sgemm_");
  Dl_info library;
  if (sgemm == nullptr || dladdr(sgemm, &library) == 0) return "unknown";
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(library.dli_fname, error);
  const char* const config =
      absl::StrContains(path.string(), "openblas") ? AskOpenBlas("openblas_get_config") : nullptr;
  return config != nullptr ? config : path.filename().string();
}

void UseBlasKernelsOfThisCpu(char** argv) {
  constexpr char kVariable[] = "OPENBLAS_CORETYPE";
  const char* const chosen = AskOpenBlas("openblas_get_corename");
  const char* const fitting = FittingKernels();
  const bool is_taken_for_another =
      chosen != nullptr && absl::string_view(chosen) == "Prescott" && fitting != nullptr;
  if (!is_taken_for_another || std::getenv(kVariable) != nullptr) return;
  std::error_code error;  // by its own name, which lists of processes show
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error || setenv(kVariable, fitting, /*overwrite=*/0) != 0) return;
  execv(program.c_str(), argv);  // returns only where it fails: slow is better than nothing
}

}  // namespace cytopress
