// Philox4x32-10, a counter-based random generator (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). Plain integers, so that CPU and CUDA draw the same numbers: a draw depends
// only on (seed, stream, counter), never on which thread makes it or when.
#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ltgnn {

struct Philox4 {
  uint32_t v[4];
};

LTGNN_HD Philox4 philox(uint64_t seed, uint64_t stream, uint64_t counter) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in [0, bound), bound in [1, 2^32], from a uniform word; the multiply-shift method (Lemire, 2019)
// without the rejection step: no value's probability is off by more than 2^-32.
LTGNN_HD uint32_t word_below(uint32_t word, uint64_t bound) {
  return static_cast<uint32_t>((word * bound) >> 32);
}

// The draws of one stream (here: of one row), four to a Philox call.
class PhiloxStream {
 public:
  LTGNN_HD PhiloxStream(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  LTGNN_HD uint32_t next() {
    if (used_ == 4) {
      block_ = philox(seed_, stream_, counter_++);
      used_ = 0;
    }
    return block_.v[used_++];
  }

  LTGNN_HD uint32_t below(uint64_t bound) { return word_below(next(), bound); }

 private:
  uint64_t seed_, stream_, counter_ = 0;
  Philox4 block_{};
  int used_ = 4;
};

}  // namespace ltgnn
