#include "cpu/kernels.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cpu/amx_support.h"

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
  // Intel's processors multiply pairs of bfloat16 no faster than float32, but for those with AMX, and
  // rounding comes on top: 1.3 to 1.5 times the time of AVX-512 on Sapphire Rapids.
  const bool bf16_pays = !__builtin_cpu_is("intel");
  // Best first. A wish for more than the machine has ends at the best that it has below.
  struct {
    const char* name;
    bool has;
    bool pays;
    const CpuKernels& (*table)();
  } levels[] = {{"avx512_amx", has_bf16, true, cpu_kernels_avx512_amx},
                {"avx512_bf16", has_bf16, bf16_pays, cpu_kernels_avx512_bf16},
                {"avx512", has_avx512, true, cpu_kernels_avx512},
                {"avx2", has_avx2, true, cpu_kernels_avx2}};
  bool known = wanted == nullptr || *wanted == '\0' || std::strcmp(wanted, "baseline") == 0;
  bool reached = wanted == nullptr || *wanted == '\0';
  for (const auto& level : levels) known = known || std::strcmp(wanted, level.name) == 0;
  if (!known) {
    std::fprintf(stderr,
                 "ltgnn: LTGNN_CPU_CAPABILITY must be baseline, avx2, avx512, avx512_bf16 or avx512_amx, "
                 "got %s: not used\n",
                 wanted);
    reached = true;
  }
  // Asked for only where it may be used: from then on Linux refuses this process small stacks for signals.
  levels[0].has = levels[0].has && (reached || std::strcmp(wanted, levels[0].name) == 0) && request_amx();
  for (const auto& level : levels) {
    const bool is_wish = wanted != nullptr && std::strcmp(wanted, level.name) == 0;
    reached = reached || is_wish;
    if (reached && level.has && (level.pays || is_wish)) return level.table();
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
