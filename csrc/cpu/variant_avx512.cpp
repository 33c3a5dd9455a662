// AVX-512 with byte, word and vector-length extensions (x86-64 servers since about 2017).
#if defined(__x86_64__) && !defined(LTGNN_BASELINE_ONLY)
#include "cpu/std_headers.h"

#if defined(__clang__)
#pragma clang attribute push(                                                             \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi,bmi2"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi,bmi2")
#endif
#define LTGNN_ISA avx512
#define LTGNN_VECTOR_BYTES 64
#include "cpu/variant.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace ltgnn {
const CpuKernels& cpu_kernels_avx512() {
  static const CpuKernels table = avx512::make_table("avx512");
  return table;
}
}  // namespace ltgnn
#endif
