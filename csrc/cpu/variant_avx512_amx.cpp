// AVX-512 with tile products of bfloat16 (Intel servers since 2023): the kernels of AVX-512, but for the one
// that has use for them.
#if defined(__x86_64__) && !defined(LTGNN_BASELINE_ONLY)
#include "cpu/std_headers.h"

#if defined(__clang__)
#pragma clang attribute push(                                                                               \
    __attribute__((                                                                                         \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma,f16c,bmi,bmi2"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c,bmi,bmi2")
#endif
#define LTGNN_ISA avx512_amx
#define LTGNN_VECTOR_BYTES 64
#include "cpu/in_batch_softmax.h"
#include "cpu/kernels.h"
#include "cpu/softmax_products_amx.h"

namespace ltgnn {
namespace avx512_amx {
namespace {

int64_t in_batch_softmax_loss_amx(const LossParams& p, const Parallel& parallel) {
  if (!p.allow_bf16 || p.type != DType::kFloat32 || p.tau < kLowestBf16Tau)
    return cpu_kernels_avx512().in_batch_softmax_loss(p, parallel);
  return InBatchSoftmax<float, AmxProducts>(p, parallel).run();
}

}  // namespace
}  // namespace avx512_amx
}  // namespace ltgnn
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace ltgnn {
const CpuKernels& cpu_kernels_avx512_amx() {
  static const CpuKernels table = [] {
    CpuKernels kernels = cpu_kernels_avx512();
    kernels.name = "avx512_amx";
    kernels.in_batch_softmax_loss = avx512_amx::in_batch_softmax_loss_amx;
    return kernels;
  }();
  return table;
}
}  // namespace ltgnn
#endif
