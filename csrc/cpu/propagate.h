// propagate on the CPU: one row after another, a tile of columns at a time, so that the accumulators of a
// tile stay in registers over all edges of the row. See kernels/propagate.h for the mathematics.
#pragma once

#include "core/dispatch.h"
#include "core/lanes.h"
#include "cpu/prefetch.h"
#include "cpu/propagate_edges.h"
#include "cpu/rows.h"
#include "kernels/propagate.h"

namespace ltgnn {
namespace LTGNN_ISA {

constexpr int64_t kRowsAhead = 2;  // between the prefetch of a row of x0 and its use

template <bool kScaled, bool kFar, class T, class Acc, class Index>
int64_t propagate_rows(const PropagateParams& params, const Parallel& parallel) {
  constexpr int64_t kBytes = sizeof(T);
  const EdgeSource<T, Acc, Index> source(params);
  const auto whole = [&](int64_t row) {
    const int64_t target = target_row(params, row);
    bool good = valid_target(params, target);
    // Rows of x0 come too far apart in time for the hardware to see a sequence.
    if (params.x0 && row + kRowsAhead < params.csr.num_rows)
      prefetch_row(params.x0, target_row(params, row + kRowsAhead), params.x0_stride * kBytes,
                   params.dim * kBytes);
    for_each_tile<Acc>(params.dim, [&]<class TileType>(int64_t column) {
      TileType tile;
      tile.zero();
      const int64_t begin = params.csr.indptr[row], end = params.csr.indptr[row + 1];
      good = good && walk_edges<kScaled, kFar>(source, begin, end, column, tile) == end;
      if (good) finish_row<TileType, T, Acc>(params, target, column, tile);
    });
    return good;
  };
  return for_each_row(params.csr, params.dim, parallel, whole);
}

inline int64_t propagate(const PropagateParams& params, const Parallel& parallel) {
  return dispatch_storage(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    using Acc = typename AccumulatorOf<T>::type;
    return dispatch_index(params.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      const bool far = is_far<T>(params);
      if (params.col_scale != nullptr && params.weight == nullptr)
        return far ? propagate_rows<true, true, T, Acc, Index>(params, parallel)
                   : propagate_rows<true, false, T, Acc, Index>(params, parallel);
      return far ? propagate_rows<false, true, T, Acc, Index>(params, parallel)
                 : propagate_rows<false, false, T, Acc, Index>(params, parallel);
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
