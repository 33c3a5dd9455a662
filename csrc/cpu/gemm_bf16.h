// MicroGemm (cpu/gemm.h) over bfloat16 factors, with sums in float32: the instruction of AVX-512 BF16
// multiplies two pairs of neighbouring k at once, so both operands come as pairs, the even k in the low half.
// For variant_avx512_bf16.cpp alone.
#pragma once

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Two neighbouring elements of bfloat16.
using Bf16Pair = uint32_t;

struct MicroGemmBf16 {
  static constexpr int kLanes = 16;
  static constexpr int kVectors = 2;
  static constexpr int kRows = 12;
  static constexpr int kCols = kVectors * kLanes;

  // As MicroGemm::run, with k counting pairs.
  static LTGNN_HD void run(bool adds, int64_t pairs, const Bf16Pair* a, int64_t a_row, int64_t a_col,
                           const Bf16Pair* b, int64_t b_row, float* c, int64_t c_row) {
    __m512 sum[kRows][kVectors];
#pragma GCC unroll 12
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n)
        sum[m][n] = adds ? _mm512_loadu_ps(c + m * c_row + n * kLanes) : _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < pairs; ++k) {
      const auto b0 = (__m512bh)_mm512_loadu_si512(b + k * b_row);
      const auto b1 = (__m512bh)_mm512_loadu_si512(b + k * b_row + kLanes);
      const Bf16Pair* a_k = a + k * a_col;
#pragma GCC unroll 12
      for (int m = 0; m < kRows; ++m) {
        const auto both = (__m512bh)_mm512_set1_epi32(static_cast<int>(a_k[m * a_row]));
        sum[m][0] = _mm512_dpbf16_ps(sum[m][0], both, b0);
        sum[m][1] = _mm512_dpbf16_ps(sum[m][1], both, b1);
      }
    }
#pragma GCC unroll 12
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) _mm512_storeu_ps(c + m * c_row + n * kLanes, sum[m][n]);
    }
  }
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
