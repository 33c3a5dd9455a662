// One stored element of any type, and what it is accumulated in. Plain C++ for host and device.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

// What a stored element type is accumulated in.
template <class T>
struct AccumulatorOf {
  using type = T;
};
template <>
struct AccumulatorOf<BFloat16> {
  using type = float;
};

LTGNN_HD float to_float(BFloat16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

LTGNN_HD BFloat16 to_bfloat16(float x) {  // round to nearest even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if (x != x) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

template <class Acc>
LTGNN_HD Acc load_scalar(const Acc* p) {
  return *p;
}
LTGNN_HD float load_scalar(const BFloat16* p) { return to_float(*p); }
template <class Acc>
LTGNN_HD void store_scalar(Acc* p, Acc x) {
  *p = x;
}
LTGNN_HD void store_scalar(BFloat16* p, float x) { *p = to_bfloat16(x); }

}  // namespace ltgnn
