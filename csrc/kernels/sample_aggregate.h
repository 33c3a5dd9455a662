// sample_aggregate, the mathematics of one target row r with sampled neighbours s = 1..S:
//
//   out_r = s_r * ( degree_r / S * sum_s t_s (x_s - history_s)  +  [self loops] t_r (x_r - history_r) )
//           + history_sum_r
//
// the variance-reduced estimate of one propagation step (Chen et al., "Stochastic training of graph
// convolutional networks with variance reduction", ICML 2018; LTGNN, WWW 2024, section 3.3): with
// history_sum = A history it is unbiased, and its variance is that of x - history only. Without history it is
// the plain sampled mean, unbiased too. A row with degree <= fanout is summed exactly.
//
// By importance (kernels/sample.h) a drawn neighbour counts 2^31 / (S span_s) in place of degree_r / S.
//
// Bytes per target: S * dim * sizeof(x) gathered (twice with history, and once more for `second`).
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"
#include "core/scalar.h"
#include "kernels/sample.h"

namespace ltgnn {

struct SampleAggregateParams {
  CsrView csr;
  const void* row_scale = nullptr;  // [num_rows] or null
  const void* col_scale = nullptr;  // [num_cols] or null
  const int64_t* rows = nullptr;    // [num_targets], each in [0, num_rows)
  int64_t num_targets = 0;
  const void* x = nullptr;            // [num_cols, dim]
  const void* history = nullptr;      // [num_cols, dim] or null: subtracted from x
  const void* history_sum = nullptr;  // [num_rows, dim] or null: added to the result
  const void* second = nullptr;       // [num_cols, dim] or null: aggregated over the same neighbours
  void* out = nullptr;                // [num_targets, dim]
  void* out_second = nullptr;         // [num_targets, dim], where second is given
  int64_t dim = 0;
  int fanout = 0;  // of every row, or the most that row_fanout holds
  uint64_t seed = 0;
  bool self_loops = false;
  // Of every table; scales and results are float32 for bfloat16, else the same.
  DType type = DType::kFloat32;
  const int16_t* row_fanout = nullptr;   // [num_rows] or null, each in [0, fanout]
  const int32_t* edge_starts = nullptr;  // [num_edges] or null: uniform
};

struct SampleNeighborsParams {
  CsrView csr;
  const int64_t* rows = nullptr;  // [num_targets], each in [0, num_rows)
  int64_t num_targets = 0;
  int fanout = 0;
  uint64_t seed = 0;
  int64_t* out = nullptr;               // [num_targets, fanout]; -1 past the number drawn
  const int16_t* row_fanout = nullptr;  // as above
  const int32_t* edge_starts = nullptr;
};

// s_r degree_r / S: what each picked neighbour counts for; s_r / S where each has a weight of its own.
template <class T, class Drawn>
LTGNN_HD T sample_factor(const SampleAggregateParams& p, int64_t row, const Drawn& drawn) {
  const T whole = drawn.weighted ? T(1) : static_cast<T>(drawn.degree);
  const T factor = drawn.count > 0 ? whole / static_cast<T>(drawn.count) : T(0);
  return p.row_scale ? factor * static_cast<const T*>(p.row_scale)[row] : factor;
}

// One tile of the sum over picked neighbours of t_s (x_s - history_s), times `outer` (sample_factor), plus
// the exact self loop times s_r. columns(k) is the column of the k-th neighbour, in range; where
// columns.weighted, columns.weights[k] is its weight.
template <class Tile, class T, class Columns>
LTGNN_HD void gather_picked(const SampleAggregateParams& p, const T* x, const T* history, int64_t row,
                            const Columns& columns, int count, typename AccumulatorOf<T>::type outer,
                            int64_t column, Tile& tile) {
  using Acc = typename AccumulatorOf<T>::type;
  const auto* col_scale = static_cast<const Acc*>(p.col_scale);
  tile.zero();
  int k = 0;
  if constexpr (Tile::kBatch > 1) {
    // Nothing stands between the loads of a batch: they are in flight together. One batch at a time, since
    // two take more registers than there are.
#if defined(__CUDACC__)
#pragma unroll 1
#endif
    for (; k + Tile::kBatch <= count; k += Tile::kBatch) {
      int64_t offset[Tile::kBatch];
      Acc w[Tile::kBatch];
      for (int i = 0; i < Tile::kBatch; ++i) {
        const int64_t c = columns(k + i);
        w[i] = (col_scale ? col_scale[c] : Acc(1)) * outer;
        if (columns.weighted) w[i] *= static_cast<Acc>(columns.weights[k + i]);
        offset[i] = c * p.dim + column;
      }
      for (int i = 0; i < Tile::kBatch; ++i) tile.add_scaled(w[i], x + offset[i]);
      if (!history) continue;
      for (int i = 0; i < Tile::kBatch; ++i) tile.add_scaled(-w[i], history + offset[i]);
    }
  }
  for (; k < count; ++k) {
    const int64_t c = columns(k);
    Acc w = (col_scale ? col_scale[c] : Acc(1)) * outer;
    if (columns.weighted) w *= static_cast<Acc>(columns.weights[k]);
    tile.add_scaled(w, x + c * p.dim + column);
    if (history) tile.add_scaled(-w, history + c * p.dim + column);
  }
  if (p.self_loops) {
    Acc w = p.row_scale ? static_cast<const Acc*>(p.row_scale)[row] : Acc(1);
    if (col_scale) w *= col_scale[row];
    tile.add_scaled(w, x + row * p.dim + column);
    if (history) tile.add_scaled(-w, history + row * p.dim + column);
  }
}

// The variance-reduced aggregate of one tile, history_sum included.
template <class Tile, class T, class Columns>
LTGNN_HD void aggregate_tile(const SampleAggregateParams& p, int64_t row, const Columns& columns, int count,
                             typename AccumulatorOf<T>::type outer, int64_t column, Tile& tile) {
  gather_picked<Tile, T>(p, static_cast<const T*>(p.x), static_cast<const T*>(p.history), row, columns, count,
                         outer, column, tile);
  if (p.history_sum) tile.add_scaled(1, static_cast<const T*>(p.history_sum) + row * p.dim + column);
}

// The aggregate of `second` over the same neighbours, into out_second; nothing where there is no second.
template <class Tile, class T, class Columns>
LTGNN_HD void aggregate_second(const SampleAggregateParams& p, int64_t target, int64_t row,
                               const Columns& columns, int count, typename AccumulatorOf<T>::type outer,
                               int64_t column) {
  using Acc = typename AccumulatorOf<T>::type;
  if (!p.second) return;
  Tile tile;
  gather_picked<Tile, T>(p, static_cast<const T*>(p.second), nullptr, row, columns, count, outer, column,
                         tile);
  tile.store(static_cast<Acc*>(p.out_second) + target * p.dim + column);
}

}  // namespace ltgnn
