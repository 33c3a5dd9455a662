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

// Calls row(r) -> bool for every row whose edge range is usable; returns the lowest row where the range
// was not usable or row(r) was false, or -1. Rows after a fault are still visited.
template <class Row>
int64_t for_each_row(const CsrView& csr, int64_t dim, const Parallel& parallel, const Row& row) {
  FirstFault fault(csr.num_rows);
  const int64_t num_tasks = (csr.num_edges + csr.num_rows) / kWorkPerTask + 1;
  for_each_task(worth_threads(parallel, (csr.num_edges + csr.num_rows) * dim), num_tasks,
                [&](int64_t task, int) {
                  const int64_t end = task_border(csr, task + 1, num_tasks);
                  for (int64_t r = task_border(csr, task, num_tasks); r < end; ++r) {
                    if (!valid_row(csr, r) || !row(r)) fault.report(r);
                  }
                });
  return fault.first();
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
