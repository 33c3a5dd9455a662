// Philox (core/philox.h) for several streams or several counters at once: the same words, several calls for
// the time of one. Each 32-bit word of the state has a lane of 64 bits, whose upper half is free for the
// products.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/lanes.h"
#include "core/philox.h"

namespace ltgnn {
namespace LTGNN_ISA {

typedef uint64_t WordLanes __attribute__((vector_size(LTGNN_VECTOR_BYTES)));
typedef uint32_t HalfWords __attribute__((vector_size(LTGNN_VECTOR_BYTES / 2)));
constexpr int kWordLanes = LTGNN_VECTOR_BYTES / 8;

LTGNN_HD WordLanes all_lanes(uint64_t value) { return WordLanes{} + value; }

// 0, 1, 2, ...
LTGNN_HD WordLanes lane_numbers() {
  WordLanes numbers{};
  for (int lane = 0; lane < kWordLanes; ++lane) numbers[lane] = static_cast<uint64_t>(lane);
  return numbers;
}

// The product of the lower halves of each lane: all 64 bits of it.
LTGNN_HD WordLanes multiply_halves(WordLanes x, WordLanes y) {
#if LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 64
  return (WordLanes)_mm512_maskz_mul_epu32(0xFF, (__m512i)x, (__m512i)y);
#elif LTGNN_HAS_F16C && LTGNN_VECTOR_BYTES == 32
  return (WordLanes)_mm256_mul_epu32((__m256i)x, (__m256i)y);
#elif defined(__SSE2__) && LTGNN_VECTOR_BYTES == 16
  return (WordLanes)_mm_mul_epu32((__m128i)x, (__m128i)y);
#else
  return (x & 0xFFFFFFFFu) * (y & 0xFFFFFFFFu);
#endif
}

struct PhiloxLanes {
  WordLanes v[4];  // in the lower halves; the upper ones hold anything
};

LTGNN_HD PhiloxLanes philox_lanes(uint64_t seed, WordLanes stream, WordLanes counter) {
  WordLanes c0 = counter, c1 = counter >> 32, c2 = stream, c3 = stream >> 32;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const WordLanes p0 = multiply_halves(c0, all_lanes(0xD2511F53u));
    const WordLanes p1 = multiply_halves(c2, all_lanes(0xCD9E8D57u));
    c0 = (p1 >> 32) ^ c1 ^ all_lanes(k0);
    c2 = (p0 >> 32) ^ c3 ^ all_lanes(k1);
    c1 = p1;
    c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

LTGNN_HD WordLanes load_words(const uint64_t* from) {
  WordLanes x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}

// 32-bit words, a lane each.
LTGNN_HD WordLanes load_halves(const uint32_t* from) {
  HalfWords halves;
  std::memcpy(&halves, from, sizeof(halves));
  return __builtin_convertvector(halves, WordLanes);
}
LTGNN_HD void store_halves(uint32_t* to, WordLanes x) {
  const HalfWords halves = __builtin_convertvector(x, HalfWords);
  std::memcpy(to, &halves, sizeof(halves));
}

// The first word of each of `count` streams from `first` on. Writes up to the next multiple of kWordLanes.
inline void first_words(uint64_t seed, uint64_t first, int count, uint32_t* words) {
  for (int k = 0; k < count; k += kWordLanes) {
    const WordLanes stream = lane_numbers() + (first + static_cast<uint64_t>(k));
    store_halves(words + k, philox_lanes(seed, stream, WordLanes{}).v[0]);
  }
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
