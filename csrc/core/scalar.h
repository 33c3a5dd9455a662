// One stored element of any type, and what it is accumulated in. Plain C++ for host and device.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/dtype.h"
#include "core/macros.h"

#if defined(__CUDACC__)
// NVIDIA's device library, part of the compiler: one instruction each.
extern "C" __device__ float __nv_half2float(unsigned short bits);
extern "C" __device__ unsigned short __nv_float2half_rn(float x);
#endif

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
template <>
struct AccumulatorOf<Float16> {
  using type = float;
};

LTGNN_HD float float_of_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}
LTGNN_HD uint32_t bits_of_float(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

// ---- bfloat16 ----
LTGNN_HD float to_float(BFloat16 x) { return float_of_bits(uint32_t{x.bits} << 16); }

LTGNN_HD BFloat16 to_bfloat16(float x) {  // round to nearest even; NaN stays NaN
  const uint32_t bits = bits_of_float(x);
  if (x != x) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

// ---- float16 ----
// No operand is a subnormal float32, so that flush-to-zero modes change nothing and no processor slows down.
// NaNs come out as the hardware makes them: quiet, with the payload's upper bits. core/lanes.h does the same
// for registers.
namespace fp16 {

constexpr uint32_t kShift = 13;                     // bits that a float32 mantissa has more
constexpr uint32_t kRebias = (127u - 15u) << 23;    // between the exponents' biases
constexpr uint32_t kSmallest = (127u - 14u) << 23;  // 2^-14, the smallest normal float16, as float32
constexpr uint32_t kOverflow = (127u + 16u) << 23;  // 2^16, above every finite float16
constexpr uint32_t kInfinity = 255u << 23;          // of float32
constexpr uint32_t kQuietBit = 1u << 22;            // of float32
constexpr uint32_t kHalf = 126u << 23;              // 0.5: its last bit is worth 2^-24, as a subnormal's

}  // namespace fp16

LTGNN_HD float to_float(Float16 x) {
#if defined(__CUDA_ARCH__)
  return __nv_half2float(x.bits);
#else
  const uint32_t sign = (x.bits & 0x8000u) << 16, magnitude = (x.bits & 0x7FFFu) << fp16::kShift;
  if (magnitude < (1u << 23)) {  // zero or subnormal: a multiple of 2^-24, added to 2^-14 and taken off again
    const float value = float_of_bits(magnitude + fp16::kSmallest) - float_of_bits(fp16::kSmallest);
    return float_of_bits(bits_of_float(value) | sign);
  }
  if (magnitude >= (31u << 23)) {
    const uint32_t quiet = magnitude > (31u << 23) ? fp16::kQuietBit : 0u;
    return float_of_bits((magnitude + 2 * fp16::kRebias) | quiet | sign);
  }
  return float_of_bits((magnitude + fp16::kRebias) | sign);
#endif
}

LTGNN_HD Float16 to_float16(float x) {  // round to nearest even; from 65520 on infinity; NaN stays NaN
#if defined(__CUDA_ARCH__)
  return {__nv_float2half_rn(x)};
#else
  const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  uint32_t result;
  if (magnitude > fp16::kInfinity) {
    result = 0x7E00u | (magnitude >> fp16::kShift & 0x3FFu);
  } else if (magnitude >= fp16::kOverflow) {
    result = 0x7C00u;
  } else if (magnitude < fp16::kSmallest) {  // the sum's rounding is the one wanted
    result = bits_of_float(float_of_bits(magnitude) + float_of_bits(fp16::kHalf)) - fp16::kHalf;
  } else {
    const uint32_t odd = magnitude >> fp16::kShift & 1u;
    result = (magnitude - fp16::kRebias + 0xFFFu + odd) >> fp16::kShift;
  }
  return {static_cast<uint16_t>(result | sign)};
#endif
}

// ---- elements in memory ----
template <class Acc>
LTGNN_HD Acc load_scalar(const Acc* p) {
  return *p;
}
LTGNN_HD float load_scalar(const BFloat16* p) { return to_float(*p); }
LTGNN_HD float load_scalar(const Float16* p) { return to_float(*p); }
template <class Acc>
LTGNN_HD void store_scalar(Acc* p, Acc x) {
  *p = x;
}
LTGNN_HD void store_scalar(BFloat16* p, float x) { *p = to_bfloat16(x); }
LTGNN_HD void store_scalar(Float16* p, float x) { *p = to_float16(x); }

}  // namespace ltgnn
