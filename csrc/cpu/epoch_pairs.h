// epoch_pairs on the CPU: a block of pairs halves its searches in step, so that their cache misses overlap.
// See kernels/epoch_pairs.h.
#pragma once

#include "core/dispatch.h"
#include "core/parallel.h"
#include "cpu/first_fault.h"
#include "kernels/epoch_pairs.h"

namespace ltgnn {
namespace LTGNN_ISA {

constexpr int64_t kPairsPerTask = 64;

// Pairs [begin, begin + count) of the call, count <= kPairsPerTask, in the order of the permutation.
template <class Index>
void ordered_pairs(const EpochPairsParams& p, int64_t begin, int64_t count, FirstFault& fault) {
  int64_t entries[kPairsPerTask], rows[kPairsPerTask];
  for (int64_t k = 0; k < count; ++k) {
    entries[k] = entry_at(p.order, p.begin + begin + k);
    rows[k] = 0;
  }
  for (int64_t length = p.csr.num_rows; length > 1;) {
    const int64_t half = length / 2;
    for (int64_t k = 0; k < count; ++k) rows[k] = halve(p.csr, entries[k], rows[k], half);
    length -= half;
  }
  for (int64_t k = 0; k < count; ++k) {
    const int64_t row = rows[k], entry = entries[k];
    const int64_t column = column_of<Index>(p.csr, entry);
    p.out_rows[begin + k] = row;
    p.out_columns[begin + k] = column;
    if (!valid_row(p.csr, row) || entry < p.csr.indptr[row] || entry >= p.csr.indptr[row + 1] || column < 0 ||
        column >= p.csr.num_cols)
      fault.report(begin + k);
  }
}

// The same for a uniform row of the list and a uniform entry of it. False where the row is not usable.
template <class Index>
bool balanced_pair(const EpochPairsParams& p, int64_t k) {
  PhiloxStream random(p.seed, static_cast<uint64_t>(p.begin + k));
  const int64_t row = p.rows[drawn_place(p, random)];
  if (row < 0 || row >= p.csr.num_rows || !valid_row(p.csr, row)) return false;
  const int64_t begin = p.csr.indptr[row], degree = p.csr.indptr[row + 1] - begin;
  p.out_rows[k] = row;
  p.out_columns[k] = -1;
  if (degree == 0) return true;
  const int64_t column =
      column_of<Index>(p.csr, begin + static_cast<int64_t>(random.below(static_cast<uint64_t>(degree))));
  p.out_columns[k] = column;
  return column >= 0 && column < p.csr.num_cols;
}

// -1, or the lowest pair (from 0) that met a malformed row.
inline int64_t epoch_pairs(const EpochPairsParams& p, const Parallel& parallel) {
  FirstFault fault(p.count);
  dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    const int64_t num_tasks = (p.count + kPairsPerTask - 1) / kPairsPerTask;
    constexpr int64_t kOperations = 1200;  // 50 to 80 ns: misses, not arithmetic
    for_each_task(worth_threads(parallel, p.count * kOperations), num_tasks, [&](int64_t task, int) {
      const int64_t begin = task * kPairsPerTask;
      const int64_t count = p.count - begin < kPairsPerTask ? p.count - begin : kPairsPerTask;
      if (!p.rows) return ordered_pairs<Index>(p, begin, count, fault);
      for (int64_t k = begin; k < begin + count; ++k) {
        if (!balanced_pair<Index>(p, k)) fault.report(k);
      }
    });
  });
  return fault.first();
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
