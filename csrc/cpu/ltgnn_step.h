// The LTGNN step on the CPU. See kernels/ltgnn_step.h.
#pragma once

#include "core/tiles.h"
#include "cpu/adam.h"
#include "cpu/sample_aggregate.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Computes out, z_new and h of all targets; writes no table.
template <class E, class M>
int64_t ltgnn_forward_rows(const LtgnnForwardParams& p, const Parallel& parallel) {
  using Acc = typename AccumulatorOf<E>::type;
  const SampleAggregateParams& s = p.sample;
  const FixedPointStep<Acc> step(p);
  return dispatch_index(s.csr.index_type, [&](auto index) {
    using Target = DrawnTarget<typename decltype(index)::type>;
    return for_each_drawn_target<typename decltype(index)::type>(
        s, sampling_operations(s), parallel,
        [&](const Target& target) {
          prefetch_row(p.e0, target.row, s.dim * static_cast<int64_t>(sizeof(E)));
          prefetch_target<M>(s, target);
        },
        [&](int64_t k, const Target& target) {
          const Acc outer = sample_factor<Acc>(s, target.row, target);
          for_each_tile<Acc>(s.dim, [&]<class TileType>(int64_t column) {
            ltgnn_forward_tile<TileType, E, M>(p, step, k, target.row, target, target.count, outer, column);
          });
        });
  });
}

// Writes target k's z_new into the memory.
template <class M>
void remember_row(const LtgnnForwardParams& p, int64_t k) {
  using Acc = typename AccumulatorOf<M>::type;
  const int64_t dim = p.sample.dim, row = p.sample.rows[k];
  M* z = static_cast<M*>(p.z) + row * dim;
  M* delta = static_cast<M*>(p.delta) + row * dim;
  const Acc* z_new = static_cast<const Acc*>(p.z_new) + k * dim;
  const RoundingKey key(p.sample.seed, RoundedPair::kZAndDelta, row);
  for_each_register<Acc>(dim, [&](int64_t i, auto tag) {
    auto z_value = load_as(z + i, tag), delta_value = load_as(delta + i, tag);
    remember<M>(load_as(z_new + i, tag), z_value, delta_value, bits_as<M>(key, i, tag));
    store_as(z + i, z_value);
    store_as(delta + i, delta_value);
  });
}

inline int64_t ltgnn_forward(const LtgnnForwardParams& p, const Parallel& parallel) {
  return dispatch_tables(p.sample.type, p.mixed, [&](auto embeddings, auto others) {
    using M = typename decltype(others)::type;
    const int64_t fault = ltgnn_forward_rows<typename decltype(embeddings)::type, M>(p, parallel);
    if (fault >= 0 || !p.z) return fault;
    // Only now that every row has been computed from the old tables are they written.
    return for_each_target(p.sample.num_targets, 4 * p.sample.dim, parallel, [&](int64_t k) {
      remember_row<M>(p, k);
      return true;
    });
  });
}

// From dL/dout of target k, row `row`, to the gradient memory and Adam; gradient(column, tag) gives it.
template <class E, class M, class Acc, class Gradient>
void ltgnn_update_row(const LtgnnUpdateParams& p, const ImplicitGradient<Acc>& implicit,
                      const AdamScalars<Acc>& scalars, int64_t k, int64_t row, Acc l2,
                      const Gradient& gradient) {
  const int64_t dim = p.adam.dim;
  const Acc* h = p.h ? static_cast<const Acc*>(p.h) + k * dim : nullptr;
  M* g_table = p.g_table ? static_cast<M*>(p.g_table) + row * dim : nullptr;
  adam_row<E, M>(p.adam, scalars, row, l2, [&](int64_t i, auto tag, auto bits) {
    decltype(tag) neighbours{}, memory;
    if (h) neighbours = load_as(h + i, tag);
    const auto result = implicit(gradient(i, tag), h != nullptr, neighbours, memory);
    if (g_table) store_as(g_table + i, rounded<M>(memory, bits >> 16));
    return result;
  });
}

inline int64_t ltgnn_update(const LtgnnUpdateParams& p, const Parallel& parallel) {
  return dispatch_tables(p.adam.type, p.adam.mixed, [&](auto embeddings, auto others) {
    using E = typename decltype(embeddings)::type;
    using M = typename decltype(others)::type;
    using Acc = typename AccumulatorOf<E>::type;
    const ImplicitGradient<Acc> implicit(p);
    const AdamScalars<Acc> scalars(p.adam.constants);
    return for_each_target(p.adam.num_rows, 9 * p.adam.dim, parallel, [&](int64_t k) {
      const int64_t row = p.adam.rows[k];
      if (row < 0 || row >= p.adam.table_rows) return false;
      if (k + kUpdatesAhead < p.adam.num_rows) {
        const int64_t ahead = p.adam.rows[k + kUpdatesAhead];
        prefetch_update<E, M>(p.adam, ahead);
        prefetch_row(p.g_table, ahead, p.adam.dim * static_cast<int64_t>(sizeof(M)));
      }
      const Acc* grad = static_cast<const Acc*>(p.adam.grad) + k * p.adam.dim;
      ltgnn_update_row<E, M>(p, implicit, scalars, k, row, l2_weight<Acc>(p.adam, k),
                             [&](int64_t i, auto tag) { return load_as(grad + i, tag); });
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
