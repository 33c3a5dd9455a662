// A borrowed view of a sparse matrix in compressed-sparse-row form, and how its rows are cut into
// tasks of about equal work.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

struct CsrView {
  const int64_t* indptr = nullptr;  // [num_rows + 1], from 0 to num_edges, never decreasing
  const void* indices = nullptr;    // [num_edges], index_type, each in [0, num_cols)
  DType index_type = DType::kInt32;
  int64_t num_rows = 0;
  int64_t num_cols = 0;
  int64_t num_edges = 0;
};

// Row r's edge range is usable: kernels test this for each row, since an operator can be called with
// tensors that no graph has validated.
LTGNN_HD bool valid_row(const CsrView& csr, int64_t row) {
  const int64_t begin = csr.indptr[row], end = csr.indptr[row + 1];
  return 0 <= begin && begin <= end && end <= csr.num_edges;
}

// Whether a row's sorted indices hold the item: bisection.
template <class Index>
LTGNN_HD bool row_holds(const Index* row, int64_t length, int64_t item) {
  int64_t low = 0, high = length;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (static_cast<int64_t>(row[middle]) < item)
      low = middle + 1;
    else
      high = middle;
  }
  return low < length && static_cast<int64_t>(row[low]) == item;
}

// First row of task `task` out of `num_tasks`, each of about (rows + edges) / num_tasks. The border is
// found by bisection on indptr[r] + r. On a malformed indptr it is still a row number in range; but
// borders may then cross, so a task covers [border(t), max(border(t), border(t + 1))).
LTGNN_HD int64_t task_border(const CsrView& csr, int64_t task, int64_t num_tasks) {
  if (task <= 0) return 0;
  if (task >= num_tasks) return csr.num_rows;
  const double share = static_cast<double>(task) / static_cast<double>(num_tasks);
  const int64_t goal =
      static_cast<int64_t>(share * (static_cast<double>(csr.num_edges) + static_cast<double>(csr.num_rows)));
  int64_t low = 0, high = csr.num_rows;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    // Unsigned sum: a malformed indptr may hold values near 2^63, and must not overflow here.
    const uint64_t work = static_cast<uint64_t>(csr.indptr[middle]) + static_cast<uint64_t>(middle);
    if (work < static_cast<uint64_t>(goal))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace ltgnn
