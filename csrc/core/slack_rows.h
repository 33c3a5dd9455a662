// A borrowed view of a square sparse matrix whose rows lie anywhere in one pool of indices, with room left
// behind each so that an edge can be inserted: what a graph that changes is kept in. A compressed matrix is
// the special case begin = indptr[:-1].
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

struct SlackRowsView {
  const int64_t* begin = nullptr;   // [num_rows], where each row starts in indices
  const int64_t* degree = nullptr;  // [num_rows], its length
  const void* indices = nullptr;    // [capacity], index_type; each row's sorted and in [0, num_rows)
  DType index_type = DType::kInt32;
  int64_t num_rows = 0;
  int64_t capacity = 0;
};

// Row r's range is usable: kernels test this for each row that they follow.
LTGNN_HD bool valid_row(const SlackRowsView& rows, int64_t row) {
  const int64_t begin = rows.begin[row], degree = rows.degree[row];
  return 0 <= begin && 0 <= degree && degree <= rows.capacity && begin <= rows.capacity - degree;
}

}  // namespace ltgnn
