// BPR on the CPU, in two passes: each triple's loss and slope (triples in parallel), then the gradients
// (blocks of columns in parallel, triples in order, so that repeated rows add up in the same order always).
#pragma once

#include "core/dispatch.h"
#include "cpu/buffer.h"
#include "cpu/inner_product.h"
#include "cpu/targets.h"
#include "kernels/losses.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Columns a task of the second pass owns: a cache line of floats, so that threads share none.
constexpr int64_t kColumnsPerTask = 16;

// Calls body(first_column, end_column) for blocks of columns, in parallel.
template <class Body>
void for_each_column_block(int64_t dim, int64_t batch, const Parallel& parallel, const Body& body) {
  const int64_t num_tasks = (dim + kColumnsPerTask - 1) / kColumnsPerTask;
  for_each_task(worth_threads(parallel, 4 * batch * dim), num_tasks, [&](int64_t task, int) {
    const int64_t begin = task * kColumnsPerTask;
    body(begin, begin + kColumnsPerTask < dim ? begin + kColumnsPerTask : dim);
  });
}

LTGNN_HD bool in_table(const LossParams& p, const int64_t* ids, int64_t b) {
  return ids[b] >= 0 && ids[b] < p.num_rows;
}

// One triple's loss and slope, from its three rows.
template <class T>
BprTerm triple_term(const T* user, const T* item, const T* negative, int64_t dim) {
  return BprTerm(static_cast<double>(inner_product<T>(user, item, dim)) -
                 static_cast<double>(inner_product<T>(user, negative, dim)));
}

inline int64_t bpr_loss(const LossParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) -> int64_t {
    using T = typename decltype(type)::type;
    const T* x = static_cast<const T*>(p.x);
    T* grad = static_cast<T*>(p.grad);
    const Buffer<double> losses(p.batch);
    const Buffer<T> slopes(p.batch);
    const int64_t fault = for_each_target(p.batch, 3 * p.dim + 50, parallel, [&](int64_t b) {
      if (!in_table(p, p.users, b) || !in_table(p, p.items, b) || !in_table(p, p.negatives, b)) return false;
      const BprTerm term =
          triple_term(x + p.users[b] * p.dim, x + p.items[b] * p.dim, x + p.negatives[b] * p.dim, p.dim);
      losses.get()[b] = term.loss;
      slopes.get()[b] = static_cast<T>(term.slope / static_cast<double>(p.batch));
      return true;
    });
    if (fault >= 0) return fault;
    double total = 0.0;
    for (int64_t b = 0; b < p.batch; ++b) total += losses.get()[b];
    *p.loss = p.batch > 0 ? total / static_cast<double>(p.batch) : 0.0;
    for (int64_t i = 0; i < p.num_rows * p.dim; ++i) grad[i] = T(0);
    for_each_column_block(p.dim, p.batch, parallel, [&](int64_t begin, int64_t end) {
      for (int64_t b = 0; b < p.batch; ++b) {
        const T slope = slopes.get()[b];
        const int64_t u = p.users[b] * p.dim, i = p.items[b] * p.dim, n = p.negatives[b] * p.dim;
        for (int64_t c = begin; c < end; ++c) {
          grad[u + c] += slope * (x[n + c] - x[i + c]);
          grad[i + c] -= slope * x[u + c];
          grad[n + c] += slope * x[u + c];
        }
      }
    });
    return -1;
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
