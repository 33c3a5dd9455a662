// Sampling kernels on the CPU: one target row after another. See kernels/sample_aggregate.h.
#pragma once

#include "core/dispatch.h"
#include "core/tiles.h"
#include "cpu/drawn_targets.h"
#include "kernels/sample_aggregate.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Multiply-adds of one target row, for the schedule.
inline int64_t sampling_operations(const SampleAggregateParams& p) {
  return p.dim * (p.fanout + 4) * ((p.history ? 2 : 1) + (p.second ? 1 : 0));
}

// A table from which on its rows are asked for ahead: one that a second-level cache does not hold.
constexpr int64_t kPrefetchFromBytes = int64_t{1} << 19;

// Asks for all that the aggregate of a target reads from tables of T.
template <class T, class Index>
void prefetch_target(const SampleAggregateParams& p, const DrawnTarget<Index>& target) {
  const int64_t row_bytes = p.dim * static_cast<int64_t>(sizeof(T));
  if (p.csr.num_cols * row_bytes < kPrefetchFromBytes) return;
  prefetch_row(p.history_sum, target.row, row_bytes);
  if (p.self_loops) {
    prefetch_row(p.x, target.row, row_bytes);
    prefetch_row(p.second, target.row, row_bytes);
  }
  for (int k = 0; k < target.count; ++k) {
    prefetch_row(p.col_scale, target(k), sizeof(typename AccumulatorOf<T>::type));
    prefetch_row(p.x, target(k), row_bytes);
    prefetch_row(p.history, target(k), row_bytes);
    prefetch_row(p.second, target(k), row_bytes);
  }
}

inline int64_t sample_aggregate(const SampleAggregateParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return dispatch_index(p.csr.index_type, [&](auto index) {
      using Target = DrawnTarget<typename decltype(index)::type>;
      return for_each_drawn_target<typename decltype(index)::type>(
          p, sampling_operations(p), parallel, [&](const Target& target) { prefetch_target<T>(p, target); },
          [&](int64_t k, const Target& target) {
            const T outer = sample_factor<T>(p, target.row, target);
            for_each_tile<T>(p.dim, [&]<class TileType>(int64_t column) {
              TileType tile;
              aggregate_tile<TileType, T>(p, target.row, target, target.count, outer, column, tile);
              tile.store(static_cast<T*>(p.out) + k * p.dim + column);
              aggregate_second<TileType, T>(p, k, target.row, target, target.count, outer, column);
            });
          });
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
