// Sampling kernels on the CPU: one target row after another. See kernels/sample_aggregate.h.
#pragma once

#include "core/dispatch.h"
#include "core/lanes.h"
#include "cpu/targets.h"
#include "kernels/negative_sample.h"
#include "kernels/sample_aggregate.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Multiply-adds of one target row, for the schedule.
inline int64_t sampling_operations(const SampleAggregateParams& p) {
  return p.dim * (p.fanout + 4) * ((p.history ? 2 : 1) + (p.second ? 1 : 0));
}

// What one target row drew.
struct Picks {
  uint32_t position[kMaxFanout];
  int count = 0;
  int64_t degree = 0;
};

// False where the row number or the row's edge range is not usable.
template <class Params>
bool draw_picks(const Params& p, int64_t row, Picks& picks) {
  if (row < 0 || row >= p.csr.num_rows || !valid_row(p.csr, row)) return false;
  picks.degree = p.csr.indptr[row + 1] - p.csr.indptr[row];
  picks.count = sample_row(picks.degree, p.fanout, p.seed, row, picks.position);
  return true;
}

template <class Index>
PickedColumns<Index> picked_columns(const CsrView& csr, int64_t row, const Picks& picks) {
  return {static_cast<const Index*>(csr.indices) + csr.indptr[row], picks.position};
}

inline int64_t sample_aggregate(const SampleAggregateParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return dispatch_index(p.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      return for_each_target(p.num_targets, sampling_operations(p), parallel, [&](int64_t k) {
        const int64_t row = p.rows[k];
        Picks picks;
        if (!draw_picks(p, row, picks)) return false;
        const T outer = sample_factor<T>(p, row, picks.degree, picks.count);
        const auto columns = picked_columns<Index>(p.csr, row, picks);
        bool good = true;
        for_each_tile<T>(p.dim, [&]<class TileType>(int64_t column) {
          TileType tile;
          if (!aggregate_tile<TileType, T>(p, row, columns, picks.count, outer, column, tile)) good = false;
          tile.store(static_cast<T*>(p.out) + k * p.dim + column);
          if (!aggregate_second<TileType, T>(p, k, row, columns, picks.count, outer, column)) good = false;
        });
        return good;
      });
    });
  });
}

inline int64_t sample_neighbors(const SampleNeighborsParams& p, const Parallel& parallel) {
  return dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    return for_each_target(p.num_targets, 10 * p.fanout, parallel, [&](int64_t k) {
      Picks picks;
      if (!draw_picks(p, p.rows[k], picks)) return false;
      const auto* indices = static_cast<const Index*>(p.csr.indices) + p.csr.indptr[p.rows[k]];
      for (int j = 0; j < p.fanout; ++j) {
        const int64_t c = j < picks.count ? static_cast<int64_t>(indices[picks.position[j]]) : -1;
        if (j < picks.count && static_cast<uint64_t>(c) >= static_cast<uint64_t>(p.csr.num_cols))
          return false;
        p.out[k * p.fanout + j] = c;
      }
      return true;
    });
  });
}

inline int64_t negative_sample(const NegativeSampleParams& p, const Parallel& parallel) {
  return dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    return for_each_target(p.num_draws, 100, parallel, [&](int64_t draw) {
      const int64_t user = p.users[draw];
      if (user < 0 || user >= p.csr.num_rows || !valid_row(p.csr, user)) return false;
      p.out[draw] = draw_negative<Index>(p, draw);
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
