#include "cpu/kernels.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ltgnn {
namespace {

const CpuKernels& choose() {
#if defined(__x86_64__) && !defined(LTGNN_BASELINE_ONLY)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
  const bool has_bf16 = has_avx512 && __builtin_cpu_supports("avx512bf16");
  const char* wanted = std::getenv("LTGNN_CPU_CAPABILITY");
  // Best first. A wish for more than the machine has ends at the best that it has below.
  const struct {
    const char* name;
    bool has;
    const CpuKernels& (*table)();
  } levels[] = {{"avx512_bf16", has_bf16, cpu_kernels_avx512_bf16},
                {"avx512", has_avx512, cpu_kernels_avx512},
                {"avx2", has_avx2, cpu_kernels_avx2}};
  bool known = wanted == nullptr || *wanted == '\0' || std::strcmp(wanted, "baseline") == 0;
  bool reached = wanted == nullptr || *wanted == '\0';
  for (const auto& level : levels) known = known || std::strcmp(wanted, level.name) == 0;
  if (!known) {
    std::fprintf(
        stderr,
        "ltgnn: LTGNN_CPU_CAPABILITY must be baseline, avx2, avx512 or avx512_bf16, got %s: not used\n",
        wanted);
    reached = true;
  }
  for (const auto& level : levels) {
    reached = reached || std::strcmp(wanted, level.name) == 0;
    if (reached && level.has) return level.table();
  }
#endif
  return cpu_kernels_baseline();
}

}  // namespace

const CpuKernels& cpu_kernels() {
  static const CpuKernels& chosen = choose();
  return chosen;
}

}  // namespace ltgnn
