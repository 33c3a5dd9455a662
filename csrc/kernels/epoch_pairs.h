// epoch_pairs: the stored entries (row, column) of a matrix in a random order of which any part can be
// computed without the rest.
//
//   pair k = entry order(seed, begin + k), order(seed, .) a permutation of [0, E); or, given a list of rows,
//   pair k = a uniform entry of a uniform row of that list, by Philox draws 0 and 1 of stream begin + k
//
// The permutation has no table. An entry e is split in two digits, e = left * b + right with left < a =
// ceil(sqrt E) and right < b = ceil(E / a), and six rounds of a Feistel network add a keyed hash of one digit
// to the other, modulo its size (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
// Each round can be undone, so the whole is a permutation of [0, a b); a value past E is sent through again,
// which ends in [0, E) and happens with probability below 1 / sqrt E, since a b - E < a. (Two halves of equal
// bits would want up to three more passes.) Digits are below 2^32 for every E below 2^63.
//
// The row of an entry is found by bisection in indptr. Bytes per pair: 16 written, and log2(rows) + 1
// gathers, of which the first are cached.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"
#include "core/philox.h"

namespace ltgnn {

// The permutation of [0, count) that belongs to a seed.
struct EntryOrder {
  static constexpr int kRounds = 6;
  uint64_t count = 0, left_size = 1, right_size = 1;
  uint64_t keys[kRounds] = {};
};

inline EntryOrder entry_order(int64_t count, uint64_t seed) {
  EntryOrder order;
  order.count = static_cast<uint64_t>(count);
  // By bisection: a square root of 2^63 - 1 in double would be rounded.
  uint64_t low = 1, high = uint64_t{1} << 32;
  while (low < high) {
    const uint64_t middle = (low + high) / 2;
    if (middle * middle < order.count)
      low = middle + 1;
    else
      high = middle;
  }
  order.left_size = low;
  order.right_size = order.count > 0 ? (order.count + low - 1) / low : 1;
  for (int round = 0; round < EntryOrder::kRounds; ++round) {
    const Philox4 words = philox(seed, static_cast<uint64_t>(round), 0);
    order.keys[round] = uint64_t{words.v[0]} << 32 | words.v[1];
  }
  return order;
}

// A keyed hash of a digit, in [0, size), size <= 2^32.
LTGNN_HD uint64_t hash_below(uint64_t digit, uint64_t key, uint64_t size) {
  uint64_t x = digit + key;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  return (x >> 32) * size >> 32;
}

// Where position `at`, in [0, count), is sent.
LTGNN_HD int64_t entry_at(const EntryOrder& order, int64_t at) {
  uint64_t entry = static_cast<uint64_t>(at);
  do {
    uint64_t left = entry / order.right_size, right = entry - left * order.right_size;
    for (int round = 0; round < EntryOrder::kRounds; round += 2) {
      left += hash_below(right, order.keys[round], order.left_size);
      if (left >= order.left_size) left -= order.left_size;
      right += hash_below(left, order.keys[round + 1], order.right_size);
      if (right >= order.right_size) right -= order.right_size;
    }
    entry = left * order.right_size + right;
  } while (entry >= order.count);
  return static_cast<int64_t>(entry);
}

struct EpochPairsParams {
  CsrView csr;
  EntryOrder order;               // of the csr's entries
  const int64_t* rows = nullptr;  // [num_rows], each in [0, csr.num_rows), or null: the permutation
  int64_t num_rows = 0;           // at most 2^32
  int64_t begin = 0;              // position of the first pair; begin + count <= num_edges
  int64_t count = 0;
  uint64_t seed = 0;
  int64_t* out_rows = nullptr;     // [count]
  int64_t* out_columns = nullptr;  // [count]; -1 where a row of the list has no entries
};

// One halving of the search for the last of the `length` rows from `row` on that begins at or before `entry`.
LTGNN_HD int64_t halve(const CsrView& csr, int64_t entry, int64_t row, int64_t half) {
  return row + (csr.indptr[row + half] <= entry ? half : 0);
}

// The place in the list of rows that is drawn for position `at`; `random` goes on to draw the entry.
LTGNN_HD int64_t drawn_place(const EpochPairsParams& p, PhiloxStream& random) {
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(p.num_rows)));
}

template <class Index>
LTGNN_HD int64_t column_of(const CsrView& csr, int64_t entry) {
  return static_cast<int64_t>(static_cast<const Index*>(csr.indices)[entry]);
}

}  // namespace ltgnn
