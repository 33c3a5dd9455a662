// The whole BPR step of LTGNN on the CPU: the kernels of its three parts, one after another, on the distinct
// rows of the batch. See kernels/ltgnn_bpr_step.h.
#pragma once

#include "cpu/bpr.h"
#include "cpu/ltgnn_step.h"
#include "cpu/radix_sort.h"
#include "kernels/ltgnn_bpr_step.h"

namespace ltgnn {
namespace LTGNN_ISA {

// The lowest triple with a node out of range, or -1.
inline int64_t first_bad_triple(const LtgnnBprStepParams& p) {
  const int64_t num_nodes = p.update.adam.table_rows;
  const auto bad = [&](int64_t id) { return id < 0 || id >= num_nodes; };
  for (int64_t b = 0; b < p.batch; ++b) {
    if (bad(p.users[b]) || bad(p.items[b]) || bad(p.negatives[b])) return b;
  }
  return -1;
}

// The distinct nodes of a batch: rows [count] ascending, how often each occurs, and for each entry (all
// users, then items, then negatives) its place among the rows.
struct BatchRows {
  Buffer<int64_t> rows, occurrences, position;
  int64_t count = 0;

  explicit BatchRows(const LtgnnBprStepParams& p)
      : rows(3 * p.batch), occurrences(3 * p.batch), position(3 * p.batch) {
    const int64_t entries = 3 * p.batch;
    const Buffer<int64_t> nodes(entries), places(entries);
    for (int64_t b = 0; b < p.batch; ++b) {
      nodes.get()[b] = p.users[b];
      nodes.get()[p.batch + b] = p.items[b];
      nodes.get()[2 * p.batch + b] = p.negatives[b];
    }
    for (int64_t i = 0; i < entries; ++i) places.get()[i] = i;
    sort_with_places(nodes.get(), places.get(), entries, p.update.adam.table_rows);
    for (int64_t i = 0; i < entries; ++i) {
      if (i == 0 || nodes.get()[i] != nodes.get()[i - 1]) rows.get()[count++] = nodes.get()[i];
      ++occurrences.get()[count - 1];
      position.get()[places.get()[i]] = count - 1;
    }
  }
};

template <class T>
int64_t ltgnn_bpr_step_of(const LtgnnBprStepParams& p, const Parallel& parallel) {
  const BatchRows batch(p);
  const int64_t dim = p.forward.sample.dim, elements = batch.count * dim;
  const bool stores_z = p.forward.z != nullptr, has_memory = p.forward.sample.second != nullptr;
  const Buffer<T> out(elements), grad(elements), z_new(stores_z ? elements : 0), h(has_memory ? elements : 0);
  const Buffer<T> l2(batch.count);
  const T one = static_cast<T>(l2_of_one(p));
  for (int64_t k = 0; k < batch.count; ++k) l2.get()[k] = static_cast<T>(batch.occurrences.get()[k]) * one;

  LtgnnForwardParams forward = p.forward;
  forward.sample.rows = batch.rows.get();
  forward.sample.num_targets = batch.count;
  forward.sample.seed = step_seed(p.seed, *p.counter);
  forward.sample.out_second = h.get();
  forward.z_new = z_new.get();
  forward.out = out.get();
  const int64_t fault = ltgnn_forward(forward, parallel);
  if (fault >= 0) return p.batch + batch.rows.get()[fault];

  LossParams loss;
  loss.x = out.get();
  loss.num_rows = batch.count;
  loss.dim = dim;
  loss.users = batch.position.get();
  loss.items = batch.position.get() + p.batch;
  loss.negatives = batch.position.get() + 2 * p.batch;
  loss.batch = p.batch;
  loss.grad = grad.get();
  loss.loss = p.loss;
  loss.type = p.update.adam.type;
  bpr_loss(loss, parallel);

  LtgnnUpdateParams update = p.update;
  update.adam.rows = batch.rows.get();
  update.adam.num_rows = batch.count;
  update.adam.grad = grad.get();
  update.adam.l2 = l2.get();
  update.adam.constants = adam_constants(p.lr, p.beta1, p.beta2, p.eps, *p.counter + 1);
  update.h = has_memory ? h.get() : nullptr;
  ltgnn_update(update, parallel);
  ++*p.counter;
  return -1;
}

// -1; or a triple with a node out of range; or `batch` plus a malformed row of the graph. Then no table has
// been written.
inline int64_t ltgnn_bpr_step(const LtgnnBprStepParams& p, const Parallel& parallel) {
  const int64_t bad = first_bad_triple(p);
  if (bad >= 0) return bad;
  return dispatch_float(p.update.adam.type, [&](auto type) {
    return ltgnn_bpr_step_of<typename decltype(type)::type>(p, parallel);
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
