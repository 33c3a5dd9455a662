// edge_dot, one edge of a sampled dense-dense product:
//
//   y_e = factor * s_r * t_c * <g_r, x_c>        for edge e from row r to column c
//
// It is the gradient of propagate with respect to the edge weights (factor = 1 - alpha, g the gradient of
// the output). Bytes per edge: dim * sizeof(x) gathered + one index + one result; g_r stays in cache.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"

namespace ltgnn {

struct EdgeDotParams {
  CsrView csr;
  const void* row_scale = nullptr;  // [num_rows] or null; accumulator type
  const void* col_scale = nullptr;  // [num_cols] or null; accumulator type
  const void* g = nullptr;          // [num_rows, dim], rows g_stride elements apart
  const void* x = nullptr;          // [num_cols, dim], rows x_stride elements apart
  void* out = nullptr;              // [num_edges]; accumulator type
  int64_t g_stride = 0, x_stride = 0;
  int64_t dim = 0;
  double factor = 1.0;
  DType type = DType::kFloat32;
};

// How many inner products a Dot takes at once, by dot(a, b[], results[]): Dot::kBatch, or one.
template <class Dot>
constexpr int kEdgeDotBatch = 1;
template <class Dot>
  requires(Dot::kBatch > 1)
constexpr int kEdgeDotBatch<Dot> = Dot::kBatch;

// Edges [begin, end), all of row `row`; dot(a, b) is the caller's inner product over dim, and write(y, value)
// stores a result (a device's lanes share a dot and only one of them writes). Returns the first edge whose
// index is out of range, or -1.
template <class T, class Acc, class Index, class Dot, class Write>
LTGNN_HD int64_t edge_dot_edges(const EdgeDotParams& p, int64_t row, int64_t begin, int64_t end,
                                const Dot& dot, const Write& write) {
  constexpr int kBatch = kEdgeDotBatch<Dot>;
  const auto num_cols = static_cast<uint64_t>(p.csr.num_cols);
  const auto* indices = static_cast<const Index*>(p.csr.indices);
  const auto* col_scale = static_cast<const Acc*>(p.col_scale);
  const T* g = static_cast<const T*>(p.g) + row * p.g_stride;
  const T* x = static_cast<const T*>(p.x);
  Acc outer = static_cast<Acc>(p.factor);
  if (p.row_scale) outer *= static_cast<const Acc*>(p.row_scale)[row];
  int64_t e = begin;
  if constexpr (kBatch > 1) {
    // All indices of a batch, then all its rows, as in kernels/propagate.h. A batch with an index out of
    // range is left to the loop below, which stops at that edge.
    for (; e + kBatch <= end; e += kBatch) {
      int64_t c[kBatch];
      bool good = true;
      for (int i = 0; i < kBatch; ++i) {
        c[i] = static_cast<int64_t>(indices[e + i]);
        good = good && static_cast<uint64_t>(c[i]) < num_cols;
      }
      if (!good) break;
      const T* rows[kBatch];
      Acc w[kBatch], products[kBatch];
      for (int i = 0; i < kBatch; ++i) {
        rows[i] = x + c[i] * p.x_stride;
        w[i] = col_scale ? outer * col_scale[c[i]] : outer;
      }
      dot(g, rows, products);
      for (int i = 0; i < kBatch; ++i) write(static_cast<Acc*>(p.out) + e + i, w[i] * products[i]);
    }
  }
  for (; e < end; ++e) {
    const int64_t c = static_cast<int64_t>(indices[e]);
    if (static_cast<uint64_t>(c) >= num_cols) return e;
    if constexpr (requires { Dot::kAhead; }) {
      // Past the end of the row, too, and of an index that nothing has tested, as in cpu/propagate_edges.h.
      if (e + Dot::kAhead < p.csr.num_edges)
        dot.ask(x, static_cast<int64_t>(indices[e + Dot::kAhead]), p.x_stride);
    }
    const Acc w = col_scale ? outer * col_scale[c] : outer;
    write(static_cast<Acc*>(p.out) + e, w * dot(g, x + c * p.x_stride));
  }
  return -1;
}

// All edges of one row.
template <class T, class Acc, class Index, class Dot, class Write>
LTGNN_HD int64_t edge_dot_row(const EdgeDotParams& p, int64_t row, const Dot& dot, const Write& write) {
  return edge_dot_edges<T, Acc, Index>(p, row, p.csr.indptr[row], p.csr.indptr[row + 1], dot, write);
}

}  // namespace ltgnn
