// negative_sample: for each draw, an item that the user does not have, uniform over all such items.
//
// Not by rejection, which needs many tries for a user who owns nearly everything: draw k below the number of
// missing items and take the k-th missing one, found by bisection in the user's sorted list: O(log degree)
// always. A user who owns every item has no negative: the answer is -1. Bytes per draw: about
// 4 log2(degree), in one short list.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/philox.h"
#include "kernels/sample.h"

namespace ltgnn {

struct NegativeSampleParams {
  CsrView csr;  // users x items; indices sorted and distinct in each row, item + first_item
  const int64_t* users = nullptr;  // [num_draws], each in [0, num_rows)
  int64_t num_draws = 0;
  uint64_t seed = 0;
  int64_t* out = nullptr;  // [num_draws]
  int64_t first_item = 0;  // at most INT32_MAX
};

// The user's negative that a random word picks.
template <class Index>
LTGNN_HD int64_t pick_negative(const NegativeSampleParams& p, int64_t user, uint32_t word) {
  const int64_t begin = p.csr.indptr[user];
  const int64_t degree = p.csr.indptr[user + 1] - begin;
  const int64_t missing = p.csr.num_cols - degree;
  if (missing <= 0) return -1;
  const auto* items = static_cast<const Index*>(p.csr.indices) + begin;
  const int64_t item =
      nth_missing(items, degree, word_below(word, static_cast<uint64_t>(missing)), p.first_item);
  return item < p.csr.num_cols ? item : p.csr.num_cols - 1;  // only where a list is malformed
}

// The random word of a draw: the first of its stream.
LTGNN_HD uint32_t negative_word(uint64_t seed, int64_t draw) {
  return philox(seed, static_cast<uint64_t>(draw), 0).v[0];
}

}  // namespace ltgnn
