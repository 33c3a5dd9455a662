// propagate, the mathematics of one row:
//
//   y_r = (1 - alpha) * s_r * ( sum_{e in row r} w_e t_{c_e} x_{c_e}  +  [self loops] t_r x_r )  +  alpha *
//   x0_r
//
// with s = row_scale, t = col_scale, w = weight, each 1 where absent. With s = t = 1/sqrt(degree) this is
// one step of personalised PageRank propagation on the symmetrically normalised graph (Gasteiger et al.,
// "Predict then Propagate", ICLR 2019); alpha = 0 without x0 is a plain sparse-dense product.
//
// Bytes per edge: dim * sizeof(x) gathered + one index (4 or 8) + 4 each for weight and col_scale if given.
//
// The rows of the matrix may be listed in another order than those of y, x0 and s: rows that share neighbours
// then follow one another, and find their rows of x in a cache. A row's sum is the same, to the bit.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"

namespace ltgnn {

// From how many bytes of x on the CPU walks in another way: see is_far in cpu/propagate_edges.h (twice as
// many where rows are in an order of their own), and cpu/propagate_windows.h. Windows win with one thread and
// with two from about 100 MB on, and lose below.
struct PropagateBlocking {
  int64_t far = int64_t{32} << 20;
  int64_t windows = int64_t{96} << 20;
  int64_t window = int64_t{4} << 20;  // of one
};

struct PropagateParams {
  CsrView csr;
  const int64_t* rows = nullptr;    // [num_rows] or null: row k of csr is row rows[k] of out, x0, row_scale
  const void* weight = nullptr;     // [num_edges] or null; accumulator type (float; double for float64)
  const void* row_scale = nullptr;  // [num_rows] or null; accumulator type
  const void* col_scale = nullptr;  // [num_cols] or null; accumulator type
  const void* x = nullptr;          // [num_cols, dim], rows x_stride elements apart
  const void* x0 = nullptr;         // [num_rows, dim] or null, rows x0_stride apart
  void* out = nullptr;              // [num_rows, dim], rows out_stride apart
  int64_t x_stride = 0, x0_stride = 0, out_stride = 0;
  int64_t dim = 0;
  double alpha = 0.0;
  bool self_loops = false;  // needs num_rows == num_cols
  DType type = DType::kFloat32;
  PropagateBlocking blocking;
};

// Adds w_e t_c x_c of edges [begin, end) to `tile`, over the columns that it covers from `column` on. Returns
// the first edge whose index is out of range, or -1: the test costs nothing beside the gather, and makes
// every call safe.
template <class Tile, class T, class Acc, class Index>
LTGNN_HD int64_t add_edges(const PropagateParams& p, int64_t begin, int64_t end, int64_t column, Tile& tile) {
  constexpr int64_t kAhead = 16;  // edges between a prefetch and its use
  const auto* indices = static_cast<const Index*>(p.csr.indices);
  const auto* weight = static_cast<const Acc*>(p.weight);
  const auto* col_scale = static_cast<const Acc*>(p.col_scale);
  const T* x = static_cast<const T*>(p.x) + column;
  const auto num_cols = static_cast<uint64_t>(p.csr.num_cols);
  int64_t e = begin;
  if constexpr (Tile::kBatch > 1) {
    // All indices of a batch, then all its rows: nothing stands between the loads, so they are in flight
    // together. A batch with an index out of range is left to the loop below, which stops at that edge.
    for (; e + Tile::kBatch <= end; e += Tile::kBatch) {
      int64_t c[Tile::kBatch];
      Acc w[Tile::kBatch];
      bool good = true;
      for (int i = 0; i < Tile::kBatch; ++i) {
        c[i] = static_cast<int64_t>(indices[e + i]);
        good = good && static_cast<uint64_t>(c[i]) < num_cols;
      }
      if (!good) break;
      for (int i = 0; i < Tile::kBatch; ++i) {
        w[i] = weight ? weight[e + i] : Acc(1);
        if (col_scale) w[i] *= col_scale[c[i]];
      }
      for (int i = 0; i < Tile::kBatch; ++i) tile.add_scaled(w[i], x + c[i] * p.x_stride);
    }
  }
  for (; e < end; ++e) {
    // Past the end of the row is wanted too: rows are short. No fault can come of it: a prefetch does
    // not dereference, so an index need not be in range.
    if (e + kAhead < p.csr.num_edges)
      Tile::prefetch(x, static_cast<uint64_t>(indices[e + kAhead]) * static_cast<uint64_t>(p.x_stride));
    const int64_t c = static_cast<int64_t>(indices[e]);
    if (static_cast<uint64_t>(c) >= num_cols) return e;
    Acc w = weight ? weight[e] : Acc(1);
    if (col_scale) w *= col_scale[c];
    tile.add_scaled(w, x + c * p.x_stride);
  }
  return -1;
}

// Which row of out, x0 and row_scale a row of csr is, and whether that is one.
LTGNN_HD int64_t target_row(const PropagateParams& p, int64_t row) { return p.rows ? p.rows[row] : row; }
LTGNN_HD bool valid_target(const PropagateParams& p, int64_t target) {
  return static_cast<uint64_t>(target) < static_cast<uint64_t>(p.csr.num_rows);
}

// What is done to the sum of edges of the row that is `row` of out: self loop, scale, mix with x0, store.
template <class Tile, class T, class Acc>
LTGNN_HD void finish_row(const PropagateParams& p, int64_t row, int64_t column, Tile& tile) {
  const auto* col_scale = static_cast<const Acc*>(p.col_scale);
  const T* x = static_cast<const T*>(p.x) + column;
  if (p.self_loops) tile.add_scaled(col_scale ? col_scale[row] : Acc(1), x + row * p.x_stride);
  Acc outer = static_cast<Acc>(1.0 - p.alpha);
  if (p.row_scale) outer *= static_cast<const Acc*>(p.row_scale)[row];
  tile.scale(outer);
  if (p.x0)
    tile.add_scaled(static_cast<Acc>(p.alpha), static_cast<const T*>(p.x0) + row * p.x0_stride + column);
  tile.store(static_cast<T*>(p.out) + row * p.out_stride + column);
}

// Row `row` of csr, which is `target` of out, over the columns that Tile covers from `column` on; as
// add_edges.
template <class Tile, class T, class Acc, class Index>
LTGNN_HD int64_t propagate_row(const PropagateParams& p, int64_t row, int64_t target, int64_t column) {
  Tile tile;
  tile.zero();
  const int64_t bad =
      add_edges<Tile, T, Acc, Index>(p, p.csr.indptr[row], p.csr.indptr[row + 1], column, tile);
  if (bad < 0) finish_row<Tile, T, Acc>(p, target, column, tile);
  return bad;
}

}  // namespace ltgnn
