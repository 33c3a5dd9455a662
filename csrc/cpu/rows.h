// The CPU's schedule of a kernel over the rows of a sparse matrix: tasks of about equal edges + rows,
// taken one by one by the threads (see core/parallel.h).
#pragma once

#include "core/csr.h"
#include "core/parallel.h"
#include "cpu/first_fault.h"

namespace ltgnn {
namespace LTGNN_ISA {

// About this many edges + rows a task: large enough to hide the counter, small enough to balance.
constexpr int64_t kWorkPerTask = 8192;

// The tasks of a matrix.
struct RowTasks {
  const CsrView& csr;
  int64_t count;

  explicit RowTasks(const CsrView& matrix)
      : csr(matrix), count((matrix.num_edges + matrix.num_rows) / kWorkPerTask + 1) {}

  // Calls run(begin, end) for the runs of a task's rows whose edge ranges are usable and for which skip(row)
  // is false. Reports rows with another range to `fault`; rows after it are still visited.
  template <class Skip, class Run>
  void runs(int64_t task, FirstFault& fault, const Skip& skip, const Run& run) const {
    const int64_t end = task_border(csr, task + 1, count);
    for (int64_t begin = task_border(csr, task, count); begin < end;) {
      int64_t stop = begin;
      bool good = true;
      while (stop < end && (good = valid_row(csr, stop)) && !skip(stop)) ++stop;
      if (stop > begin) run(begin, stop);
      if (!good) fault.report(stop);
      begin = stop + 1;
    }
  }
};

// The threads for the rows of a matrix, `dim` multiply-adds an edge.
inline Parallel worth_threads(const Parallel& parallel, const CsrView& csr, int64_t dim) {
  return worth_threads(parallel, (csr.num_edges + csr.num_rows) * dim);
}

// Calls row(r) -> bool for every row whose edge range is usable; returns the lowest row where the range
// was not usable or row(r) was false, or -1. Rows after a fault are still visited.
template <class Row>
int64_t for_each_row(const CsrView& csr, int64_t dim, const Parallel& parallel, const Row& row) {
  FirstFault fault(csr.num_rows);
  const RowTasks tasks(csr);
  for_each_task(worth_threads(parallel, csr, dim), tasks.count, [&](int64_t task, int) {
    tasks.runs(
        task, fault, [](int64_t) { return false; },
        [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; ++r) {
            if (!row(r)) fault.report(r);
          }
        });
  });
  return fault.first();
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
