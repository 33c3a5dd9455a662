#include "cpu/kernels.h"

#include <cstdlib>
#include <cstring>

namespace ltgnn {
namespace {

const CpuKernels& choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
  const char* wanted = std::getenv("LTGNN_CPU_CAPABILITY");
  const auto allowed = [&](const char* name) { return wanted == nullptr || std::strcmp(wanted, name) == 0; };
  if (has_avx512 && allowed("avx512")) return cpu_kernels_avx512();
  // A wish for more than the machine has ends at the best that it has.
  const bool wish_too_high = wanted != nullptr && std::strcmp(wanted, "avx512") == 0;
  if (has_avx2 && (allowed("avx2") || wish_too_high)) return cpu_kernels_avx2();
#endif
  return cpu_kernels_baseline();
}

}  // namespace

const CpuKernels& cpu_kernels() {
  static const CpuKernels& chosen = choose();
  return chosen;
}

}  // namespace ltgnn
