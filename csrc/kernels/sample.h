// Neighbour sampling of one row, uniform without replacement (Floyd; Bentley and Floyd, "A sample of
// brilliance", CACM 1987). A draw is keyed by (seed, row, draw number): the same neighbours on every device
// and for any number of threads.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"
#include "core/philox.h"

namespace ltgnn {

constexpr int kMaxFanout = 256;

// Writes the sampled positions within the row (in [0, degree)) and returns their number,
// min(degree, fanout). A row with degree <= fanout is taken whole, in order: then nothing is random.
LTGNN_HD int sample_row(int64_t degree, int fanout, uint64_t seed, int64_t row, uint32_t* picks) {
  if (degree <= fanout) {
    for (int k = 0; k < static_cast<int>(degree); ++k) picks[k] = static_cast<uint32_t>(k);
    return static_cast<int>(degree);
  }
  PhiloxStream random(seed, static_cast<uint64_t>(row));
  for (int k = 0; k < fanout; ++k) {
    const auto last = static_cast<uint32_t>(degree - fanout + k);
    uint32_t pick = random.below(uint64_t{last} + 1);
    bool taken = false;
    for (int j = 0; j < k; ++j) taken |= picks[j] == pick;
    picks[k] = taken ? last : pick;
  }
  return fanout;
}

// The k-th smallest item (from 0) that a sorted list of distinct items lacks: the answer is k plus the
// number of listed items before it, found by bisection. The list holds item numbers plus `first`.
template <class Index>
LTGNN_HD int64_t nth_missing(const Index* items, int64_t length, int64_t k, int64_t first = 0) {
  int64_t low = 0, high = length;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (static_cast<int64_t>(items[middle]) - middle <= k + first)
      low = middle + 1;
    else
      high = middle;
  }
  return k + low;
}

}  // namespace ltgnn
