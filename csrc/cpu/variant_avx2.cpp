// AVX2 with fused multiply-add (x86-64 since about 2013).
#if defined(__x86_64__) && !defined(LTGNN_BASELINE_ONLY)
#include "cpu/std_headers.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2")
#endif
#define LTGNN_ISA avx2
#define LTGNN_VECTOR_BYTES 32
#include "cpu/variant.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace ltgnn {
const CpuKernels& cpu_kernels_avx2() {
  static const CpuKernels table = avx2::make_table("avx2");
  return table;
}
}  // namespace ltgnn
#endif
