// Adam on the CPU, dense or on touched rows: rows are distinct, so threads never share one. See
// kernels/adam.h.
#pragma once

#include "core/dispatch.h"
#include "cpu/prefetch.h"
#include "cpu/rounding.h"
#include "cpu/square_root.h"
#include "cpu/targets.h"
#include "kernels/adam.h"

namespace ltgnn {
namespace LTGNN_ISA {

// The L2 weight of the k-th row that is given.
template <class Acc>
LTGNN_HD Acc l2_weight(const AdamParams& p, int64_t k) {
  return p.l2 ? static_cast<const Acc*>(p.l2)[k] : Acc(0);
}

constexpr int64_t kUpdatesAhead = 4;  // rows between a prefetch and its use

// Asks for what adam_row reads of a row.
template <class E, class M>
void prefetch_update(const AdamParams& p, int64_t row) {
  prefetch_row(p.param, row, p.dim * static_cast<int64_t>(sizeof(E)));
  const void* tables[] = {p.m, p.v, p.delta};
  for (const void* table : tables) prefetch_row(table, row, p.dim * static_cast<int64_t>(sizeof(M)));
}

// One row: param holds E, the other tables M. gradient(column, tag, bits) gives dL/dp before L2; it may use
// the upper half of the bits (core/rounding.h).
template <class E, class M, class Acc, class Gradient>
LTGNN_HD void adam_row(const AdamParams& p, const AdamScalars<Acc>& scalars, int64_t row, Acc l2,
                       const Gradient& gradient) {
  E* param = static_cast<E*>(p.param) + row * p.dim;
  M* m = static_cast<M*>(p.m) + row * p.dim;
  M* v = static_cast<M*>(p.v) + row * p.dim;
  M* delta = p.delta ? static_cast<M*>(p.delta) + row * p.dim : nullptr;
  const RoundingKey key(p.rounding, RoundedPair::kParamAndMemory, row);
  const RoundingKey moments_key(p.rounding, RoundedPair::kMoments, row);
  const RoundingKey delta_key(p.rounding, RoundedPair::kDeltaOfOneHop, row);
  for_each_register<Acc>(p.dim, [&](int64_t i, auto tag) {
    const auto bits = bits_as<M>(key, i, tag), moment_bits = bits_as<M>(moments_key, i, tag);
    const auto value = load_as(param + i, tag);
    auto m_value = load_as(m + i, tag), v_value = load_as(v + i, tag);
    const auto change =
        adam_element<Acc>(scalars, gradient(i, tag, bits) + l2 * value, m_value, v_value, SquareRoot{});
    const auto stored = rounded<E>(value + change, bits & 0xFFFFu);
    store_as(param + i, stored);
    store_as(m + i, rounded<M>(m_value, moment_bits & 0xFFFFu));
    store_as(v + i, rounded<M>(v_value, moment_bits >> 16));
    if (!delta) return;
    const auto moved = load_as(delta + i, tag) + stored_change<E>(stored, value, change);
    store_as(delta + i, rounded<M>(moved, bits_as<M>(delta_key, i, tag) & 0xFFFFu));
  });
}

inline int64_t adam(const AdamParams& p, const Parallel& parallel) {
  return dispatch_tables(p.type, p.mixed, [&](auto embeddings, auto moments) {
    using E = typename decltype(embeddings)::type;
    using M = typename decltype(moments)::type;
    using Acc = typename AccumulatorOf<E>::type;
    const AdamScalars<Acc> scalars(p.constants);
    return for_each_target(p.num_rows, 9 * p.dim, parallel, [&](int64_t k) {
      const int64_t row = p.rows ? p.rows[k] : k;
      if (row < 0 || row >= p.table_rows) return false;
      if (p.rows && k + kUpdatesAhead < p.num_rows) prefetch_update<E, M>(p, p.rows[k + kUpdatesAhead]);
      const Acc* grad = static_cast<const Acc*>(p.grad) + k * p.dim;
      adam_row<E, M>(p, scalars, row, l2_weight<Acc>(p, k),
                     [&](int64_t i, auto tag, auto) { return load_as(grad + i, tag); });
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
