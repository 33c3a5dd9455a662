// Stochastic rounding to bfloat16: up or down with the probability that makes the mean exact (Gupta et al.,
// "Deep learning with limited numerical precision", ICML 2015), so that steps far below the last bit are not
// lost. The random bits are a hash of (key, table, row, column): the same on every device and for any number
// of threads. One hash of 32 bits serves an element of two tables, by halves.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/macros.h"
#include "core/scalar.h"

namespace ltgnn {

// Which two tables share a hash. `key` is the seed of the forward, the step of the update.
enum class RoundedPair : uint32_t { kZAndDelta = 1, kParamAndMemory, kMoments, kDeltaOfOneHop };

// What all elements of a row share: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
struct RoundingKey {
  uint32_t first, second;

  LTGNN_HD RoundingKey(uint64_t key, RoundedPair pair, int64_t row) {
    uint64_t state = key * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(pair) * 0xD1B54A32D192ED03u +
                     static_cast<uint64_t>(row) * 0x8CB92BA72F3D8DD7u;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
    state ^= state >> 31;
    first = static_cast<uint32_t>(state);
    second = static_cast<uint32_t>(state >> 32);
  }

  // 32 bits for a column, or for a register of columns: two rounds of multiply and shift.
  template <class Uint>
  LTGNN_HD Uint bits(Uint column) const {
    Uint x = (column * 0x9E3779B1u) ^ first;
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = ((x ^ (x >> 15)) + second) * 0x846CA68Bu;
    return x ^ (x >> 16);
  }
};

// `x`, a number or a register of them, as a table of S holds it; `half`: 16 random bits for each.
template <class S, class V, class Bits>
LTGNN_HD V rounded(V x, Bits half) {
  if constexpr (sizeof(S) == 2) {
    static_assert(sizeof(V) == sizeof(Bits));
    Bits bits;
    std::memcpy(&bits, &x, sizeof(x));
    // All ones for a NaN, which must not be counted up: its magnitude is above infinity's.
    const Bits keep = 0u - ((0x7F800000u - (bits & 0x7FFFFFFFu)) >> 31);
    bits = (((bits + half) & 0xFFFF0000u) & ~keep) | (bits & keep);
    std::memcpy(&x, &bits, sizeof(x));
  }
  return x;
}

}  // namespace ltgnn
