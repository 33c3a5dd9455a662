// The whole BPR step of LTGNN on the CPU. See kernels/ltgnn_bpr_step.h. Three passes, each in parallel:
//   1. forward  of the distinct rows
//   2. loss     and slope of each triple
//   3. update   of a row at a time: its gradient over its occurrences in the order of the triples (so with
//               the bits of bpr_loss), gradient memory, Adam, and z and delta, which nobody reads any more
// Each asks for the rows of the next targets ahead.
#pragma once

#include "cpu/bpr.h"
#include "cpu/ltgnn_step.h"
#include "cpu/radix_sort.h"
#include "cpu/scratch.h"
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

// The distinct nodes of a batch, ascending, and where they occur. Entry 3 b + 0, 1, 2 is triple b's user,
// positive, negative. Entries are sorted by row and, of one row, in their order.
struct BatchRows {
  int64_t *rows, *begin;  // [count], [count + 1]: row r's entries are sorted entries begin[r]..begin[r + 1]
  int64_t *entries, *position;  // [3 batch]: sorted entries; for each entry its place among the rows
  int64_t* nodes;               // [3 batch], scratch
  int64_t count = 0;

  void reserve(Scratch& scratch, int64_t batch) {
    for (int64_t** list : {&rows, &begin, &entries, &position, &nodes}) scratch.reserve(*list, 3 * batch + 1);
  }

  void fill(const LtgnnBprStepParams& p) {
    for (int64_t b = 0; b < p.batch; ++b) {
      nodes[3 * b] = p.users[b];
      nodes[3 * b + 1] = p.items[b];
      nodes[3 * b + 2] = p.negatives[b];
    }
    for (int64_t i = 0; i < 3 * p.batch; ++i) entries[i] = i;
    sort_with_places(nodes, entries, 3 * p.batch, p.update.adam.table_rows);
    for (int64_t i = 0; i < 3 * p.batch; ++i) {
      if (i == 0 || nodes[i] != nodes[i - 1]) {
        begin[count] = i;
        rows[count++] = nodes[i];
      }
      position[entries[i]] = count - 1;
    }
    begin[count] = 3 * p.batch;
  }
};

// Asks for the rows of `out` that the gradient of the distinct row `k` is made of; of a row that occurs
// often, for the first ones.
template <class T>
void prefetch_gradient(const BatchRows& batch, const T* out, int64_t dim, int64_t k) {
  constexpr int64_t kMost = 4;  // occurrences
  const int64_t bytes = dim * static_cast<int64_t>(sizeof(T)), begin = batch.begin[k];
  const int64_t end = batch.begin[k + 1] < begin + kMost ? batch.begin[k + 1] : begin + kMost;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t role = batch.entries[i] % 3;
    const int64_t* place = batch.position + (batch.entries[i] - role);
    // A user's gradient is of its two items, theirs of the user.
    prefetch_row(out, place[role == 0 ? 1 : 0], bytes);
    if (role == 0) prefetch_row(out, place[2], bytes);
  }
}

// dL/dout of the distinct row `k`.
template <class T>
struct RowGradient {
  const BatchRows& batch;
  const T *out, *slopes;
  int64_t dim, k;

  template <class V>
  LTGNN_HD V operator()(int64_t column, V tag) const {
    V sum{};
    for (int64_t i = batch.begin[k]; i < batch.begin[k + 1]; ++i) {
      const int64_t triple = batch.entries[i] / 3, role = batch.entries[i] % 3;
      const int64_t* place = batch.position + 3 * triple;
      const auto row = [&](int64_t which) { return load_as(out + place[which] * dim + column, tag); };
      if (role == 0)
        sum += slopes[triple] * (row(2) - row(1));
      else
        sum += (role == 1 ? -slopes[triple] : slopes[triple]) * row(0);
    }
    return sum;
  }
};

template <class E, class M>
int64_t ltgnn_bpr_step_of(const LtgnnBprStepParams& p, const Parallel& parallel) {
  using Acc = typename AccumulatorOf<E>::type;
  const int64_t dim = p.forward.sample.dim, most = 3 * p.batch * dim;
  const bool stores_z = p.forward.z != nullptr, has_memory = p.forward.sample.second != nullptr;
  Scratch scratch;
  BatchRows batch;
  Acc *out, *z_new, *h, *slopes;
  double* losses;
  batch.reserve(scratch, p.batch);
  scratch.reserve(out, most);
  scratch.reserve(z_new, stores_z ? most : 0);
  scratch.reserve(h, has_memory ? most : 0);
  scratch.reserve(slopes, p.batch);
  scratch.reserve(losses, p.batch);
  scratch.allocate();
  batch.fill(p);

  LtgnnForwardParams forward = p.forward;
  forward.sample.rows = batch.rows;
  forward.sample.num_targets = batch.count;
  forward.sample.seed = step_seed(p.seed, *p.counter);
  forward.sample.out_second = h;
  forward.z_new = z_new;
  forward.out = out;
  const int64_t fault = ltgnn_forward_rows<E, M>(forward, parallel);
  if (fault >= 0) return p.batch + batch.rows[fault];

  constexpr int64_t kTriplesAhead = 4;
  for_each_target(p.batch, 3 * dim + 50, parallel, [&](int64_t b) {
    const int64_t* place = batch.position + 3 * b;
    if (b + kTriplesAhead < p.batch) {
      for (int64_t role = 0; role < 3; ++role)
        prefetch_row(out, place[3 * kTriplesAhead + role], dim * static_cast<int64_t>(sizeof(Acc)));
    }
    const BprTerm term = triple_term(out + place[0] * dim, out + place[1] * dim, out + place[2] * dim, dim);
    losses[b] = term.loss;
    slopes[b] = static_cast<Acc>(term.slope / static_cast<double>(p.batch));
    return true;
  });
  double total = 0.0;
  for (int64_t b = 0; b < p.batch; ++b) total += losses[b];
  *p.loss = p.batch > 0 ? total / static_cast<double>(p.batch) : 0.0;

  LtgnnUpdateParams update = p.update;
  update.h = has_memory ? h : nullptr;
  update.adam.rounding = static_cast<uint64_t>(*p.counter) + 1;
  const AdamParams& adam = update.adam;
  const ImplicitGradient<Acc> implicit(update);
  const AdamScalars<Acc> scalars(adam_constants(p.lr, p.beta1, p.beta2, p.eps, *p.counter + 1));
  const Acc one = static_cast<Acc>(l2_of_one(p));
  for_each_target(batch.count, 20 * dim, parallel, [&](int64_t k) {
    if (k + kUpdatesAhead < batch.count) {
      const int64_t ahead = batch.rows[k + kUpdatesAhead];
      prefetch_update<E, M>(adam, ahead);
      const void* tables[] = {update.g_table, p.forward.z, stores_z ? p.forward.delta : nullptr};
      for (const void* table : tables) prefetch_row(table, ahead, dim * static_cast<int64_t>(sizeof(M)));
      prefetch_gradient(batch, out, dim, k + kUpdatesAhead);
    }
    const Acc l2 = static_cast<Acc>(batch.begin[k + 1] - batch.begin[k]) * one;
    ltgnn_update_row<E, M>(update, implicit, scalars, k, batch.rows[k], l2,
                           RowGradient<Acc>{batch, out, slopes, dim, k});
    if (stores_z) remember_row<M>(forward, k);
    return true;
  });
  ++*p.counter;
  return -1;
}

// -1; or a triple with a node out of range; or `batch` plus a malformed row of the graph. Then no table has
// been written.
inline int64_t ltgnn_bpr_step(const LtgnnBprStepParams& p, const Parallel& parallel) {
  const int64_t bad = first_bad_triple(p);
  if (bad >= 0) return bad;
  return dispatch_tables(p.update.adam.type, p.update.adam.mixed, [&](auto embeddings, auto others) {
    return ltgnn_bpr_step_of<typename decltype(embeddings)::type, typename decltype(others)::type>(p,
                                                                                                   parallel);
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
