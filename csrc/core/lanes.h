// The vector registers of one instruction set, as GCC/Clang vector types: the same text compiles to
// SSE2 or NEON, AVX2 and AVX-512 (see cpu/variant.h). LTGNN_VECTOR_BYTES is set by the including file.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/macros.h"
#include "core/scalar.h"

#ifndef LTGNN_VECTOR_BYTES
#define LTGNN_VECTOR_BYTES 16
#endif

#if defined(__x86_64__) && LTGNN_VECTOR_BYTES > 16
#include <immintrin.h>
#define LTGNN_HAS_F16C 1
#else
#define LTGNN_HAS_F16C 0
#endif

namespace ltgnn {
namespace LTGNN_ISA {

typedef float FloatLanes __attribute__((vector_size(LTGNN_VECTOR_BYTES)));
typedef double DoubleLanes __attribute__((vector_size(LTGNN_VECTOR_BYTES)));
typedef uint32_t UintLanes __attribute__((vector_size(LTGNN_VECTOR_BYTES)));
typedef int32_t IntLanes __attribute__((vector_size(LTGNN_VECTOR_BYTES)));
typedef uint16_t HalfLanes __attribute__((vector_size(LTGNN_VECTOR_BYTES / 2)));

template <class Acc>
struct LanesOf;
template <>
struct LanesOf<float> {
  using type = FloatLanes;
};
template <>
struct LanesOf<double> {
  using type = DoubleLanes;
};

// ---- one register ----
template <class Acc>
LTGNN_HD typename LanesOf<Acc>::type load_lanes(const Acc* p) {
  typename LanesOf<Acc>::type x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
LTGNN_HD FloatLanes load_lanes(const BFloat16* p) {
  // The instruction that compilers do not make of the conversion below.
#if LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 64
  const __m256i stored = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return (FloatLanes)_mm512_slli_epi32(_mm512_cvtepu16_epi32(stored), 16);
#elif LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 32
  const __m128i stored = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (FloatLanes)_mm256_slli_epi32(_mm256_cvtepu16_epi32(stored), 16);
#else
  HalfLanes half;
  std::memcpy(&half, p, sizeof(half));
  const UintLanes bits = __builtin_convertvector(half, UintLanes) << 16;
  return (FloatLanes)bits;  // vector types: same bits
#endif
}

// float16 where the instruction set converts it (AVX2 machines do, cpu/kernels.cpp asks); elsewhere the steps
// of to_float and to_float16 (core/scalar.h) for all lanes at once, each lane choosing one result.
LTGNN_HD FloatLanes load_lanes(const Float16* p) {
#if LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 64
  return (FloatLanes)_mm512_maskz_cvtph_ps(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 32
  return (FloatLanes)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  HalfLanes stored;
  std::memcpy(&stored, p, sizeof(stored));
  const UintLanes wide = __builtin_convertvector(stored, UintLanes);
  const UintLanes sign = (wide & 0x8000u) << 16, magnitude = (wide & 0x7FFFu) << fp16::kShift;
  const UintLanes is_small = (UintLanes)((IntLanes)magnitude < (1 << 23));
  const UintLanes is_special = (UintLanes)((IntLanes)magnitude >= (31 << 23));
  const UintLanes is_nan = (UintLanes)((IntLanes)magnitude > (31 << 23));
  const UintLanes normal = magnitude + fp16::kRebias + (is_special & fp16::kRebias);
  const FloatLanes shifted = (FloatLanes)(magnitude + fp16::kSmallest);
  const UintLanes small = (UintLanes)(shifted - float_of_bits(fp16::kSmallest));
  const UintLanes quiet = normal | (is_nan & fp16::kQuietBit);
  return (FloatLanes)((small & is_small) | (quiet & ~is_small) | sign);
#endif
}
LTGNN_HD void store_lanes(Float16* p, FloatLanes x) {
#if LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 64
  const __m256i stored =
      _mm512_maskz_cvtps_ph(0xFFFF, (__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  std::memcpy(p, &stored, sizeof(stored));
#elif LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 32
  const __m128i stored = _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT);
  std::memcpy(p, &stored, sizeof(stored));
#else
  const UintLanes bits = (UintLanes)x, sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  const UintLanes is_nan = (UintLanes)(x != x);
  const UintLanes is_large = (UintLanes)((IntLanes)magnitude >= static_cast<int32_t>(fp16::kOverflow));
  const UintLanes is_small = (UintLanes)((IntLanes)magnitude < static_cast<int32_t>(fp16::kSmallest));
  const UintLanes odd = magnitude >> fp16::kShift & 1u;
  const UintLanes normal = (magnitude - fp16::kRebias + 0xFFFu + odd) >> fp16::kShift;
  const UintLanes small = (UintLanes)((FloatLanes)magnitude + float_of_bits(fp16::kHalf)) - fp16::kHalf;
  const UintLanes nan = (magnitude >> fp16::kShift & 0x3FFu) | 0x7E00u;
  UintLanes result = (small & is_small) | (normal & ~is_small);
  result = (result & ~is_large) | (is_large & ~is_nan & 0x7C00u) | (nan & is_nan);
  const HalfLanes stored = __builtin_convertvector(result | sign, HalfLanes);
  std::memcpy(p, &stored, sizeof(stored));
#endif
}
template <class Acc>
LTGNN_HD void store_lanes(Acc* p, typename LanesOf<Acc>::type x) {
  std::memcpy(p, &x, sizeof(x));
}
LTGNN_HD void store_lanes(BFloat16* p, FloatLanes x) {
  const UintLanes bits = (UintLanes)x;
  const UintLanes rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const UintLanes quiet = (bits >> 16) | 0x40u;
  const UintLanes is_nan = (UintLanes)(x != x);
  const HalfLanes half = __builtin_convertvector((rounded & ~is_nan) | (quiet & is_nan), HalfLanes);
  std::memcpy(p, &half, sizeof(half));
}

// The sum of all lanes, by halves: log2 of their number steps, where one lane after another would be as many
// as there are.
template <class Acc, int kCount, class Lanes>
LTGNN_HD Acc sum_of_halves(const Lanes& x) {
  if constexpr (kCount == 2) {
    return x[0] + x[1];
  } else {
    typedef Acc Half __attribute__((vector_size(kCount / 2 * sizeof(Acc))));
    Half low, high;
    std::memcpy(&low, &x, sizeof(Half));
    std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof(Half), sizeof(Half));
    const Half sum = low + high;
    return sum_of_halves<Acc, kCount / 2>(sum);
  }
}
template <class Acc>
LTGNN_HD Acc sum_of_lanes(const typename LanesOf<Acc>::type& x) {
  return sum_of_halves<Acc, sizeof(x) / sizeof(Acc)>(x);
}

// A comparison's result as bytes, 0 or -1 each, in words: `kWords` of them, of 8 elements.
typedef int8_t FloatMaskBytes __attribute__((vector_size(LTGNN_VECTOR_BYTES / 4)));
typedef int8_t DoubleMaskBytes __attribute__((vector_size(LTGNN_VECTOR_BYTES / 8)));
template <class Acc>
struct MaskBytes {
  using Bytes = std::conditional_t<sizeof(Acc) == 4, FloatMaskBytes, DoubleMaskBytes>;
  static constexpr int kWords = (sizeof(Bytes) + 7) / 8;
  uint64_t words[kWords] = {};

  template <class Mask>
  explicit LTGNN_HD MaskBytes(Mask mask) {
    static_assert(sizeof(Mask) == LTGNN_VECTOR_BYTES);
    const Bytes bytes = __builtin_convertvector(mask, Bytes);
    std::memcpy(words, &bytes, sizeof(bytes));
  }
  LTGNN_HD bool any() const {
    uint64_t all = 0;
    for (int i = 0; i < kWords; ++i) all |= words[i];
    return all != 0;
  }
  // Calls body(element) for each that is set, in order.
  template <class Body>
  LTGNN_HD void for_each(const Body& body) const {
    for (int i = 0; i < kWords; ++i)
      for (uint64_t left = words[i] & 0x0101010101010101u; left != 0; left &= left - 1)
        body(8 * i + __builtin_ctzll(left) / 8);
  }
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
