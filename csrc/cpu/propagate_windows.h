// Rows with many edges, where x is far larger than the caches: window after window of x's rows, and in each
// window all of these rows. What lies in a window is then read from memory once, and found in a cache by
// every further row that has an edge into it, while one whole row after another would read it anew for each.
// A row's sum stops where its next edge leaves the window, and goes on in the next one: its order, and its
// bits, are those of a row that is walked at once. (Columns need not ascend: an edge back into a window that
// has gone by is only a slow one.)
#pragma once

#include "core/tiles.h"
#include "cpu/prefetch.h"
#include "cpu/propagate_edges.h"
#include "cpu/rows.h"
#include "cpu/scratch.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Which rows are taken by windows, and how many windows there are.
struct WindowPlan {
  int64_t width = 0;  // columns of a window
  int64_t num_windows = 0;
  int64_t least = INT64_MAX;  // edges of a row that is taken by windows
  int64_t count = 0;          // of such rows
  int64_t edges = 0;          // of theirs
  int64_t num_groups = 0;     // of such rows, each with windows of its own: no thread waits for another

  bool takes(const CsrView& csr, int64_t row) const {
    return valid_row(csr, row) && csr.indptr[row + 1] - csr.indptr[row] >= least;
  }

  WindowPlan() = default;
  WindowPlan(const PropagateParams& p, int64_t row_bytes, int num_threads) {
    constexpr int64_t kEdgesPerWindow = 6;  // of a row, on average, from which it pays to stop and go on
    if (p.csr.num_cols < p.blocking.windows / row_bytes) return;
    width = p.blocking.window / row_bytes + 1;
    num_windows = (p.csr.num_cols + width - 1) / width;
    num_groups = num_threads;
    least = kEdgesPerWindow * num_windows;
    for (int64_t row = 0; row < p.csr.num_rows; ++row) {
      if (!takes(p.csr, row)) continue;
      edges += p.csr.indptr[row + 1] - p.csr.indptr[row];
      ++count;
    }
    // With fewer, most of what a group's windows hold would be read for one edge.
    if (edges < 2 * p.csr.num_cols * num_groups) *this = WindowPlan();
  }
};

// The rows that a plan takes, and how far each has come.
template <class Acc>
struct WindowRows {
  int64_t* rows;   // [count]: row of csr; -1 once it is known to be bad
  int64_t* next;   // [count]: its first edge that is not in `sums` yet
  int64_t* group;  // [num_groups + 1]: where the groups begin
  Acc* sums;       // [count, dim]
  Scratch scratch;

  WindowRows(const PropagateParams& p, const WindowPlan& plan) {
    scratch.reserve(rows, plan.count);
    scratch.reserve(next, plan.count);
    scratch.reserve(group, plan.num_groups + 1);
    scratch.reserve(sums, plan.count * p.dim);
    scratch.allocate();
    int64_t k = 0, edges = 0, borders = 0;
    for (int64_t row = 0; k < plan.count; ++row) {
      if (!plan.takes(p.csr, row)) continue;
      // Groups of about as many edges: a group begins where its share does.
      while (borders < plan.num_groups && edges >= plan.edges / plan.num_groups * borders)
        group[borders++] = k;
      edges += p.csr.indptr[row + 1] - p.csr.indptr[row];
      next[k] = p.csr.indptr[row];
      rows[k++] = row;
    }
    while (borders <= plan.num_groups) group[borders++] = k;
  }
};

// Does one group of the plan's rows; reports those with an index or a target out of range.
template <bool kScaled, class T, class Acc, class Index>
void propagate_windows(const PropagateParams& p, const WindowPlan& plan, const WindowRows<Acc>& state,
                       int64_t group, const EdgeSource<T, Acc, Index>& source, FirstFault& fault) {
  const int64_t begin = state.group[group], end = state.group[group + 1];
  for (int64_t window = 0; window < plan.num_windows; ++window) {
    const bool first = window == 0, last = window + 1 == plan.num_windows;
    const int64_t border = (window + 1) * plan.width;
    // Where row k leaves this window. What its first edges read is asked for, a row ahead.
    const auto leaves_at = [&](int64_t k) {
      if (k >= end || state.rows[k] < 0) return int64_t{0};
      const int64_t stop = p.csr.indptr[state.rows[k] + 1];
      int64_t e = state.next[k];
      while (e < stop && (last || static_cast<int64_t>(source.indices[e]) < border)) ++e;
      prefetch_edges(source, state.next[k], e, p.dim);
      return e;
    };
    int64_t leaves = leaves_at(begin);
    for (int64_t k = begin; k < end; ++k) {
      const int64_t next_leaves = leaves_at(k + 1), row = state.rows[k];
      if (row < 0) {
        leaves = next_leaves;
        continue;
      }
      const int64_t target = target_row(p, row);
      bool good = valid_target(p, target);
      for_each_tile<Acc>(p.dim, [&]<class TileType>(int64_t column) {
        TileType tile;
        Acc* sum = state.sums + k * p.dim + column;
        if (first)
          tile.zero();
        else
          tile.load(sum);
        good =
            good && walk_edges<kScaled, true>(source, state.next[k], leaves, leaves, column, tile) == leaves;
        if (good && last)
          finish_row<TileType, T, Acc>(p, target, column, tile);
        else
          tile.store(sum);
      });
      if (!good) {
        fault.report(row);
        state.rows[k] = -1;  // as a row that is walked at once, it is not written
      }
      state.next[k] = leaves;
      leaves = next_leaves;
    }
  }
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
