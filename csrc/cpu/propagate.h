// propagate on the CPU: one row after another, a tile of columns at a time, so that the accumulators of a
// tile stay in registers over all edges of the row; of a very large x, the rows with many edges by windows
// (cpu/propagate_windows.h). See kernels/propagate.h for the mathematics.
#pragma once

#include "core/dispatch.h"
#include "core/lanes.h"
#include "cpu/prefetch.h"
#include "cpu/propagate_edges.h"
#include "cpu/propagate_windows.h"
#include "cpu/rows.h"
#include "kernels/propagate.h"

namespace ltgnn {
namespace LTGNN_ISA {

constexpr int64_t kRowsAhead = 2;  // between the prefetch of a row of x0 and its use

template <bool kScaled, bool kFar, class T, class Acc, class Index>
int64_t propagate_rows(const PropagateParams& params, const Parallel& parallel) {
  constexpr int64_t kBytes = sizeof(T);
  const CsrView& csr = params.csr;
  const EdgeSource<T, Acc, Index> source(params);
  const Parallel threads = worth_threads(parallel, csr, params.dim);
  const WindowPlan plan =
      kFar ? WindowPlan(params, params.dim * kBytes, std::max(1, threads.num_threads)) : WindowPlan();
  const WindowRows<Acc> windowed(params, plan);
  FirstFault fault(csr.num_rows);
  // `wanted`: the edge up to which rows of x are asked for ahead.
  const auto whole = [&](int64_t row, int64_t wanted) {
    const int64_t target = target_row(params, row);
    bool good = valid_target(params, target);
    // Rows of x0 come too far apart in time for the hardware to see a sequence.
    if (params.x0 && row + kRowsAhead < csr.num_rows)
      prefetch_row(params.x0, target_row(params, row + kRowsAhead), params.x0_stride * kBytes,
                   params.dim * kBytes);
    for_each_tile<Acc>(params.dim, [&]<class TileType>(int64_t column) {
      TileType tile;
      tile.zero();
      const int64_t begin = csr.indptr[row], end = csr.indptr[row + 1];
      good = good && walk_edges<kScaled, kFar>(source, begin, end, wanted, column, tile) == end;
      if (good) finish_row<TileType, T, Acc>(params, target, column, tile);
    });
    return good;
  };
  const bool all = plan.count == 0;
  const RowTasks tasks(csr);
  for_each_task(threads, plan.num_groups + tasks.count, [&](int64_t task, int) {
    if (task < plan.num_groups) {
      propagate_windows<kScaled>(params, plan, windowed, task, source, fault);
      return;
    }
    tasks.runs(
        task - plan.num_groups, fault, [&](int64_t row) { return !all && plan.takes(csr, row); },
        [&](int64_t begin, int64_t end) {
          // Past the end of a row is wanted too, rows are short; but not what the windows take.
          const int64_t wanted = all ? csr.num_edges : csr.indptr[end];
          if (!all) prefetch_edges(source, csr.indptr[begin], wanted, params.dim);
          for (int64_t row = begin; row < end; ++row) {
            if (!whole(row, wanted)) fault.report(row);
          }
        });
  });
  return fault.first();
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
