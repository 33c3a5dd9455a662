// propagate on the CPU: a tile of columns at a time, one row after another, so that the accumulators of the
// tile stay in registers over all edges of a row; of a very large x, the rows with many edges by windows
// (cpu/propagate_windows.h). See kernels/propagate.h for the mathematics.
#pragma once

#include "core/dispatch.h"
#include "core/tiles.h"
#include "cpu/prefetch.h"
#include "cpu/propagate_edges.h"
#include "cpu/propagate_windows.h"
#include "cpu/rows.h"
#include "kernels/propagate.h"

namespace ltgnn {
namespace LTGNN_ISA {

constexpr int64_t kRowsAhead = 2;  // between the prefetch of a row of x0 and its use
// A tile is done for these before the next one: enough that a row costs little, few enough that the cache
// lines which narrow tiles share are still in the first cache.
constexpr int64_t kRowsTogether = 16;

// The rows [first, last) over the columns that TileType covers from `column` on. Rows of x are asked for
// ahead up to those of the edges before `wanted`.
template <bool kScaled, bool kFar, class TileType, class T, class Acc, class Index>
void whole_rows(const PropagateParams& params, const EdgeSource<T, Acc, Index>& source, int64_t first,
                int64_t last, int64_t wanted, int64_t column, FirstFault& fault) {
  constexpr int64_t kBytes = sizeof(T);
  const int64_t* const indptr = params.csr.indptr;
  const T* const x0 = params.x0 ? static_cast<const T*>(params.x0) + column : nullptr;
  for (int64_t row = first; row < last; ++row) {
    // Rows of x0 come too far apart in time for the hardware to see a sequence.
    if (x0 && row + kRowsAhead < params.csr.num_rows)
      prefetch_row(x0, target_row(params, row + kRowsAhead), params.x0_stride * kBytes,
                   TileType::kColumns * kBytes);
    const int64_t target = target_row(params, row), end = indptr[row + 1];
    TileType tile;
    tile.zero();
    if (valid_target(params, target) &&
        walk_edges<kScaled, kFar>(source, indptr[row], end, wanted, column, tile) == end)
      finish_row<TileType, T, Acc>(params, target, column, tile);
    else
      fault.report(row);
  }
}

template <bool kScaled, bool kFar, class T, class Acc, class Index>
int64_t propagate_rows(const PropagateParams& params, const Parallel& parallel) {
  const CsrView& csr = params.csr;
  const EdgeSource<T, Acc, Index> source(params);
  const Parallel threads = worth_threads(parallel, csr, params.dim);
  const WindowPlan plan =
      kFar ? WindowPlan(params, params.dim * int64_t{sizeof(T)}, std::max(1, threads.num_threads))
           : WindowPlan();
  const WindowRows<Acc> windowed(params, plan);
  FirstFault fault(csr.num_rows);
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
          for (int64_t first = begin; first < end; first += kRowsTogether) {
            const int64_t last = std::min(first + kRowsTogether, end);
            for_each_tile<Acc>(params.dim, [&]<class TileType>(int64_t column) {
              whole_rows<kScaled, kFar, TileType>(params, source, first, last, wanted, column, fault);
            });
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
