// Incremental solution of the personalised PageRank fixed point Z = (1 - alpha) A Z + alpha E0, with A the
// symmetrically normalised adjacency, after edges have come or gone.
//
// Work is in Y = D^-1/2 Z, P = D^-1 (adjacency [+ I with self loops]), F = D^-1/2 E0, with D the degrees
// [+ 1], but at least 1; the residual is
//
//   R = alpha F + (1 - alpha) P Y - Y                                            (push_residual_)
//
// A node without edges has an empty row of P, D = 1 and so y = z = alpha e0, as `propagate` has it. Edge (u,
// v) enters rows u and v of P and F only, so only R_u and R_v change: O((deg u + deg v) dim). Then, while
// some row has max |R_j| > tol, rounds of pushes over all such rows (the frontier) at once:
//
//   Y_j += R_j;   R_i += (1 - alpha) / D_i R_j for each neighbour i of j;   R_j = 0        (push_)
//
// which keeps the equation for R. The rows of P sum to at most 1, so |Y - Y*| <= max |R| / alpha <= tol /
// alpha in every entry. Each push of row j lowers sum_i D_i |R_i|_1 by at least alpha D_j tol: the edges
// walked are at most sum_i D_i |R_i|_1 / (alpha tol), whatever the size of the graph. (Andersen, Chung and
// Lang, "Local graph partitioning using PageRank vectors", FOCS 2006; AGP, Wang et al., KDD 2021; InstantGNN,
// Zheng et al., KDD 2022, arXiv 2206.01379.)
//
// What a target gets in one round is added in the order of the pushed rows' numbers, on every backend and for
// any number of threads. Rounding: R drifts from the equation by some roundings of R's own size for each
// push, so it is recomputed (push_residual_ on all rows) now and then.
//
// Bytes per edge walked: 2 dim sizeof(R) read and written, dim sizeof(R) of the pushed row from cache, one
// index, one degree.
#pragma once

#include <cstdint>

#include "core/macros.h"
#include "core/slack_rows.h"

namespace ltgnn {

struct PushResidualParams {
  SlackRowsView graph;
  const int64_t* rows = nullptr;  // [num_targets], each in [0, num_rows)
  int64_t num_targets = 0;
  const void* e0 = nullptr;  // [num_rows, dim]
  const void* y = nullptr;   // [num_rows, dim]
  void* residual = nullptr;  // [num_rows, dim]; the targets' rows are written
  int64_t dim = 0;
  double alpha = 0.5;
  bool self_loops = false;
  DType type = DType::kFloat32;  // of every table: float32 or float64
};

// What push_ tells beside the tables: it is not known beforehand how many rows that will be.
struct PushOutput {
  enum List { kTouched, kPending };
  int64_t rounds = 0;
  int64_t pushes = 0;
  bool converged = false;  // no row that was looked at is above tol, or not finite
  // Memory for `count` row numbers, where the tables are.
  int64_t* (*allocate)(void* owner, List list, int64_t count) = nullptr;
  void* owner = nullptr;
};

struct PushParams {
  SlackRowsView graph;
  const int64_t* rows =
      nullptr;  // [num_candidates], where a residual may be above tol; any order, repetitions
  int64_t num_candidates = 0;
  void* y = nullptr;         // [num_rows, dim]
  void* residual = nullptr;  // [num_rows, dim]
  int64_t dim = 0;
  double alpha = 0.5;
  double tol = 1e-4;
  int64_t max_rounds = 0;
  int64_t max_pushes = 0;  // no round is begun that would go above it
  bool self_loops = false;
  DType type = DType::kFloat32;
  PushOutput* out = nullptr;
};

// D of a row, at least 1. In floating point from the start: a malformed degree must not overflow.
template <class T>
LTGNN_HD T push_degree(const SlackRowsView& graph, int64_t row, bool self_loops) {
  const T degree = static_cast<T>(graph.degree[row]) + (self_loops ? T(1) : T(0));
  return degree > T(1) ? degree : T(1);
}

// What a row takes from each neighbour that is pushed.
template <class T>
LTGNN_HD T push_weight(const SlackRowsView& graph, int64_t row, double alpha, bool self_loops) {
  return static_cast<T>(1.0 - alpha) / push_degree<T>(graph, row, self_loops);
}

// 1 / sqrt(D) by whatever square root the caller has.
template <class Tile, class T, class Index, class Sqrt>
LTGNN_HD int64_t push_residual_row(const PushResidualParams& p, int64_t row, int64_t column,
                                   const Sqrt& square_root) {
  const auto* indices = static_cast<const Index*>(p.graph.indices);
  const T* y = static_cast<const T*>(p.y) + column;
  const int64_t begin = p.graph.begin[row], end = begin + p.graph.degree[row];
  const auto num_rows = static_cast<uint64_t>(p.graph.num_rows);
  Tile tile;
  tile.zero();
  int64_t e = begin;
  if constexpr (Tile::kBatch > 1) {  // as in kernels/propagate.h: all indices of a batch, then all its rows
    for (; e + Tile::kBatch <= end; e += Tile::kBatch) {
      int64_t c[Tile::kBatch];
      bool good = true;
      for (int i = 0; i < Tile::kBatch; ++i) {
        c[i] = static_cast<int64_t>(indices[e + i]);
        good = good && static_cast<uint64_t>(c[i]) < num_rows;
      }
      if (!good) break;
      for (int i = 0; i < Tile::kBatch; ++i) tile.add_scaled(T(1), y + c[i] * p.dim);
    }
  }
  for (; e < end; ++e) {
    constexpr int64_t kAhead = 16;  // edges between a prefetch and its use
    if (e + kAhead < end)
      Tile::prefetch(y, static_cast<uint64_t>(indices[e + kAhead]) * static_cast<uint64_t>(p.dim));
    const int64_t c = static_cast<int64_t>(indices[e]);
    if (static_cast<uint64_t>(c) >= num_rows) return e;
    tile.add_scaled(T(1), y + c * p.dim);
  }
  const T degree = push_degree<T>(p.graph, row, p.self_loops);
  if (p.self_loops) tile.add_scaled(T(1), y + row * p.dim);
  tile.scale(static_cast<T>(1.0 - p.alpha) / degree);
  tile.add_scaled(static_cast<T>(p.alpha) / square_root(degree),
                  static_cast<const T*>(p.e0) + row * p.dim + column);
  tile.add_scaled(T(-1), y + row * p.dim);
  tile.store(static_cast<T*>(p.residual) + row * p.dim + column);
  return -1;
}

// What a residual row is, as bits that may be or-ed over pieces of it: a row that is not finite is never
// pushed, since it would spoil all others.
constexpr unsigned kOverTol = 1, kNotFinite = 2;
template <class T>
LTGNN_HD unsigned residual_state(T value, T tol) {
  const T size = value < T(0) ? -value : value;
  const bool finite = size - size == T(0);
  return (size > tol ? kOverTol : 0u) | (finite ? 0u : kNotFinite);
}

}  // namespace ltgnn
