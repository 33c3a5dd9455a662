// What the in-batch softmax losses with factors in bfloat16 share (cpu/softmax_products_bf16.h and _amx.h).
#pragma once

#include "core/scalar.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Cosines are shifted by 1, their bound, not by the row's maximum; above this tau no sum comes out as 0.
inline constexpr double kLowestBf16Tau = 1.0 / 32;

// Two neighbouring elements of bfloat16, the first in the low half.
LTGNN_HD uint32_t bf16_pair(float first, float second) {
  return to_bfloat16(first).bits | static_cast<uint32_t>(to_bfloat16(second).bits) << 16;
}

// 2^x for x <= 0, by a polynomial of degree 4 to 4e-5, a hundredth of bfloat16's rounding.
LTGNN_HD __m512 exp2_coarse(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 y = _mm512_set1_ps(0.0096181291f);
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.0555041087f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.2402265070f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.6931471806f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(y, n);  // 0 where n is very low
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
