// exp of a register of floats to about 2 units in the last place, for x <= 0 (arguments are shifted so).
// exp(x) = 2^n e^r with n = round(x / ln 2), |r| <= ln(2)/2, e^r by its Taylor polynomial of degree 6.
#pragma once

#include <cmath>

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

LTGNN_HD FloatLanes exp_lanes(FloatLanes x) {
  x = x < -87.0f ? FloatLanes{} - 87.0f : x;  // the smallest normal float; nothing below matters in a sum
  constexpr float kRound = 12582912.0f;       // 1.5 * 2^23: adding it rounds to an integer
  const FloatLanes shifted = x * 1.44269504f + kRound;
  const FloatLanes n = shifted - kRound;
  const FloatLanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  FloatLanes p = r * (1.0f / 720.0f) + (1.0f / 120.0f);
  p = p * r + (1.0f / 24.0f);
  p = p * r + (1.0f / 6.0f);
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const IntLanes power = ((IntLanes)shifted + (127 - 0x4B400000)) << 23;
  return p * (FloatLanes)power;
}

LTGNN_HD DoubleLanes exp_lanes(DoubleLanes x) {
  constexpr int kCount = sizeof(DoubleLanes) / sizeof(double);
  for (int i = 0; i < kCount; ++i) x[i] = std::exp(x[i]);
  return x;
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
