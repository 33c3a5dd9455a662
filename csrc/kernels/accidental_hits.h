// accidental_hits: which items of a batch a user of the batch has, too. In a loss that takes the other pairs'
// items for negatives they are none; TensorFlow's sampled losses call them accidental hits.
//
// A user's row of bits, 32 a word: bit j % 32 of word j / 32 stands for place j of the batch. Either the
// user's list is walked and its items are looked up among the batch's, or, for a long list, the batch is
// walked and its items are looked up in the list: O(min(degree, batch log degree)) a user.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"

namespace ltgnn {

struct AccidentalHitsParams {
  CsrView csr;                     // users x items; indices sorted in each row, item + first_item
  const int64_t* users = nullptr;  // [batch], each in [0, num_rows)
  const int64_t* items = nullptr;  // [batch], each in [0, num_cols), and num_cols at most INT32_MAX
  int64_t batch = 0;
  int64_t first_item = 0;   // at most INT32_MAX
  uint32_t* out = nullptr;  // [batch, words(batch)], all written
};

LTGNN_HD int64_t hit_words(int64_t batch) { return (batch + 31) / 32; }

LTGNN_HD uint32_t hit_bit(int64_t place) { return uint32_t{1} << (place & 31); }

// Whether the user's list is walked rather than the batch.
LTGNN_HD bool walks_list(int64_t degree, int64_t batch) { return degree / 8 <= batch; }

}  // namespace ltgnn
