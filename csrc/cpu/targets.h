// The CPU's schedule of a kernel over a list of target rows: fixed blocks, taken one by one by the threads.
#pragma once

#include "core/parallel.h"
#include "cpu/first_fault.h"

namespace ltgnn {
namespace LTGNN_ISA {

constexpr int64_t kTargetsPerTask = 64;

// Calls body(k) -> bool for each target k in [0, num_targets); returns the lowest k where it was false, or
// -1. `operations`: multiply-adds of one call, roughly.
template <class Body>
int64_t for_each_target(int64_t num_targets, int64_t operations, const Parallel& parallel, const Body& body) {
  FirstFault fault(num_targets);
  const int64_t num_tasks = (num_targets + kTargetsPerTask - 1) / kTargetsPerTask;
  for_each_task(worth_threads(parallel, num_targets * operations), num_tasks, [&](int64_t task, int) {
    const int64_t begin = task * kTargetsPerTask;
    const int64_t end = begin + kTargetsPerTask < num_targets ? begin + kTargetsPerTask : num_targets;
    for (int64_t k = begin; k < end; ++k) {
      if (!body(k)) fault.report(k);
    }
  });
  return fault.first();
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
