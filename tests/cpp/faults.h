// Damaged row pointers and indices for the tests of the CUDA kernels, and what must be reported of them.
#pragma once

#include "core/fault.h"
#include "graphs.h"

namespace ltgnn::test {

enum class Damage { kNothing, kFirst, kLast, kPointer, kOverlap, kIndex };

// Damages one place: an end of indptr, a pointer inside it (to nonsense, or to another place within the
// edges, so that rows overlap), or an index.
inline void damage_one(Graph& graph, Damage damage, Random& random) {
  const int64_t rows = graph.num_rows(), edges = graph.num_edges();
  const int64_t nonsense[] = {-1, edges + 1, INT64_MAX, INT64_MIN, INT64_MAX - 3};
  const auto inside = static_cast<size_t>(1 + below(random, rows - 1));
  if (damage == Damage::kFirst) graph.indptr[0] = below(random, 2) ? 1 : -1;
  if (damage == Damage::kLast) graph.indptr.back() = below(random, 2) ? edges - 1 : edges + 1;
  if (damage == Damage::kPointer) graph.indptr[inside] = nonsense[below(random, 5)];
  if (damage == Damage::kOverlap) graph.indptr[inside] = below(random, 2) ? edges : 0;
  if (damage == Damage::kIndex) {
    const int64_t bad[] = {-1, graph.num_cols, INT32_MAX, INT32_MIN};
    graph.set_index(below(random, edges), bad[below(random, 4)]);
  }
}

// The first bad edge of a usable row, or -1.
inline int64_t bad_edge(const Graph& graph, int64_t row) {
  const auto r = static_cast<size_t>(row);
  for (int64_t e = graph.indptr[r]; e < graph.indptr[r + 1]; ++e) {
    const int64_t c = graph.wide[static_cast<size_t>(e)];
    if (c < 0 || c >= graph.num_cols) return e;
  }
  return -1;
}

// Row `row` cannot have a result.
inline bool is_damaged(const Graph& graph, int64_t row) {
  return !valid_row(graph.view(DType::kInt64), row) || bad_edge(graph, row) >= 0;
}

// A report is of something that is so, and there is one if and only if something is wrong; wrong ends go
// first.
inline bool right_report(const Graph& graph, const FaultRecord& fault) {
  const int64_t rows = graph.num_rows(), edges = graph.num_edges();
  const bool first = graph.indptr[0] != 0, last = graph.indptr.back() != edges;
  bool any = false;
  for (int64_t row = 0; row < rows; ++row) any = any || is_damaged(graph, row);
  if (fault.state == FaultRecord::kFree) return !first && !last && !any;
  const auto at = static_cast<size_t>(fault.position);
  if (first) return fault.kind == FaultKind::kFirstPointer && fault.value == graph.indptr[0];
  if (last)
    return fault.kind == FaultKind::kLastPointer && fault.value == graph.indptr.back() &&
           fault.bound == edges;
  if (fault.kind == FaultKind::kRowPointers)
    return !valid_row(graph.view(DType::kInt64), fault.position) && fault.value == graph.indptr[at] &&
           fault.other == graph.indptr[at + 1] && fault.bound == edges;
  return fault.kind == FaultKind::kIndex && fault.value == graph.wide[at] &&
         (fault.value < 0 || fault.value >= graph.num_cols) && fault.bound == graph.num_cols &&
         graph.indptr[static_cast<size_t>(fault.other)] <= fault.position &&
         fault.position < graph.indptr[static_cast<size_t>(fault.other) + 1];
}

}  // namespace ltgnn::test
