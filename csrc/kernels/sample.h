// Neighbour sampling of one row. A draw is keyed by (seed, row, draw number): the same neighbours on every
// device and for any number of threads. A row with no more neighbours than its fanout is taken whole.
//
// Uniform, without replacement: Floyd (Bentley and Floyd, "A sample of brilliance", CACM 1987).
//
// By importance: edge e of the row has the share span_e / 2^31 of an interval of length 2^31, which `starts`
// cuts up. Draw k of S is uniform in the k-th of S equal parts of the interval, and takes the edge that it
// falls on: an edge is drawn S span_e / 2^31 times in expectation, to the last bit, so that weighing a draw
// by 2^31 / (S span_e) is unbiased (Hansen and Hurwitz, Ann. Math. Stat. 1943), and stratified draws never
// have more variance than independent ones (Cochran, Sampling Techniques, section 5.6).
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

// How many neighbours row `row` draws: its own number, where rows have one, else the same for all; -1 where
// its own is not in [0, fanout].
template <class Params>
LTGNN_HD int fanout_of(const Params& p, int64_t row) {
  if (p.row_fanout == nullptr) return p.fanout;
  const int own = p.row_fanout[row];
  return own >= 0 && own <= p.fanout ? own : -1;
}

// Draw k of `fanout` by importance, from a uniform word: (k 2^31 + half the word) / fanout, which over all k
// is each value of [0, 2^31) equally often. In 32 bits: a division of 64 takes registers that the CUDA
// kernels lack.
LTGNN_HD uint32_t stratified_draw(uint32_t random, int k, int fanout) {
  const uint32_t length = uint32_t{1} << 31;
  const auto number = static_cast<uint32_t>(k), count = static_cast<uint32_t>(fanout);
  return number * (length / count) + (number * (length % count) + (random >> 1)) / count;
}

struct WeightedPick {
  uint32_t position;  // in the row
  uint32_t span;      // of 2^31: never 0, so that a weight is finite whatever `starts` holds
};

// The edge of a row that `draw` falls on, by bisection. starts[e], in [0, 2^31) and ascending, is where edge
// e begins; starts[0] counts as 0, and the last edge ends at 2^31.
LTGNN_HD WeightedPick weighted_pick(const int32_t* starts, int64_t degree, uint32_t draw) {
  const auto last = static_cast<uint32_t>(degree);
  uint32_t low = 0, high = last;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (static_cast<uint32_t>(starts[middle]) <= draw)
      low = middle;
    else
      high = middle;
  }
  const uint32_t begin = low > 0 ? static_cast<uint32_t>(starts[low]) : 0;
  const uint32_t end = high < last ? static_cast<uint32_t>(starts[high]) : uint32_t{1} << 31;
  return {low, end - begin};
}

// What a draw counts for, without the 1 / S. In float32 for every table: rounded far below the noise of a
// draw.
LTGNN_HD float importance_weight(uint32_t span) { return 2147483648.0f / static_cast<float>(span); }

// The k-th smallest item (from 0) that a sorted list of distinct items lacks: the answer is k plus the
// number of listed items before it, found by bisection. The list holds item numbers plus `first`. A step is a
// choice and no branch, which no processor could foretell; how many there are depends on the length alone.
template <class Index>
LTGNN_HD int64_t nth_missing(const Index* items, int64_t length, int64_t k, int64_t first = 0) {
  const int64_t limit = k + first;
  int64_t before = 0;
  while (length > 0) {
    const int64_t half = (length + 1) / 2, middle = before + half - 1;
    before += static_cast<int64_t>(items[middle]) - middle <= limit ? half : 0;
    length -= half;
  }
  return k + before;
}

}  // namespace ltgnn
