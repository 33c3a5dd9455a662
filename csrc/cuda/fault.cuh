// How a kernel reports a fault of its input. It then goes on: nothing out of range is followed, and what
// depends on it comes out as NaN (floats) or -1 (numbers).
#pragma once

#include <cuda_runtime.h>

#include "core/csr.h"
#include "core/fault.h"
#include "core/slack_rows.h"

namespace ltgnn::cuda {

// The first report wins; later ones are dropped until the host has taken it.
__device__ inline void report(const FaultSink& sink, FaultKind kind, IdName name, int64_t position,
                              int64_t value, int64_t other, int64_t bound) {
  FaultRecord* record = sink.record;
  if (atomicCAS(&record->state, FaultRecord::kFree, FaultRecord::kBusy) != FaultRecord::kFree) return;
  record->kind = kind;
  record->name = name;
  record->op = sink.op;
  record->position = position;
  record->value = value;
  record->other = other;
  record->bound = bound;
  __threadfence_system();
  atomicExch(&record->state, FaultRecord::kComplete);
}

// ids[position] is no row number below `bound`.
__device__ inline void report_id(const FaultSink& sink, IdName name, int64_t position, int64_t value,
                                 int64_t bound) {
  report(sink, FaultKind::kId, name, position, value, 0, bound);
}

// A graph with slack: this row lies outside the pool.
__device__ inline void report_row_range(const FaultSink& sink, const SlackRowsView& rows, int64_t row) {
  report(sink, FaultKind::kRowRange, IdName::kRows, row, rows.begin[row], rows.degree[row], rows.capacity);
}

// The index `value` at place `at` of the pool, in row `row`, is no row, or is below the one before it.
__device__ inline void report_index(const FaultSink& sink, const SlackRowsView& rows, int64_t at,
                                    int64_t value, int64_t row) {
  report(sink, FaultKind::kIndex, IdName::kRows, at, value, row, rows.num_rows);
}
__device__ inline void report_order(const FaultSink& sink, int64_t at, int64_t value, int64_t row,
                                    int64_t before) {
  report(sink, FaultKind::kOrder, IdName::kRows, at, value, row, before);
}

// Both ends of indptr; one thread of a launch looks.
__device__ inline void check_ends(const FaultSink& sink, const CsrView& csr) {
  const int64_t first = csr.indptr[0], last = csr.indptr[csr.num_rows];
  if (first != 0) report(sink, FaultKind::kFirstPointer, IdName::kRows, 0, first, 0, 0);
  if (last != csr.num_edges)
    report(sink, FaultKind::kLastPointer, IdName::kRows, csr.num_rows, last, 0, csr.num_edges);
}

// A wrong end spoils rows too, and is what the CPU names: so whoever reports a row or an edge looks there
// first.
__device__ inline void report_row_pointers(const FaultSink& sink, const CsrView& csr, int64_t row) {
  check_ends(sink, csr);
  report(sink, FaultKind::kRowPointers, IdName::kRows, row, csr.indptr[row], csr.indptr[row + 1],
         csr.num_edges);
}

// The index of edge `edge`, in row `row`, is no column.
__device__ inline void report_index(const FaultSink& sink, const CsrView& csr, int64_t edge, int64_t row) {
  check_ends(sink, csr);
  const int64_t value = csr.index_type == DType::kInt32 ? static_cast<const int32_t*>(csr.indices)[edge]
                                                        : static_cast<const int64_t*>(csr.indices)[edge];
  report(sink, FaultKind::kIndex, IdName::kRows, edge, value, row, csr.num_cols);
}

}  // namespace ltgnn::cuda
