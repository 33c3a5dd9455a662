// sample_neighbors on the CPU: while a row's columns are written, the row after the next draws its places.
// See kernels/sample_aggregate.h.
#pragma once

#include "core/dispatch.h"
#include "cpu/drawn_targets.h"
#include "kernels/sample_aggregate.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class Index>
void sample_neighbors_of(const SampleNeighborsParams& p, TaskTargets& task, FirstFault& fault) {
  const auto draw = [&](int64_t k) {
    if (k < task.end) task[k].template draw<Index>(p, task.draws, [](int, uint32_t) {});
  };
  draw(task.begin);
  draw(task.begin + 1);
  for (int64_t k = task.begin; k < task.end; ++k) {
    draw(k + 2);
    const Target& target = task[k];
    int64_t* out = p.out + k * p.fanout;
    if (!target.good ||
        !target.template look_up<Index>(p.csr, task.draws, [&](int j, Index column) { out[j] = column; }))
      fault.report(k);
    for (int j = target.count; j < p.fanout; ++j) out[j] = -1;
  }
}

inline int64_t sample_neighbors(const SampleNeighborsParams& p, const Parallel& parallel) {
  return dispatch_index(p.csr.index_type, [&](auto index) {
    return for_each_task_of_targets(p, 10 * p.fanout, parallel, [&](TaskTargets& task, FirstFault& fault) {
      sample_neighbors_of<typename decltype(index)::type>(p, task, fault);
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
