// The LTGNN step on the CPU. See kernels/ltgnn_step.h.
#pragma once

#include "cpu/adam.h"
#include "cpu/sample_aggregate.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T, class Index>
bool ltgnn_forward_row(const LtgnnForwardParams& p, const FixedPointStep<T>& step, int64_t k) {
  const SampleAggregateParams& s = p.sample;
  const int64_t row = s.rows[k];
  Picks picks;
  if (!draw_picks(s, row, picks)) return false;
  const T outer = sample_factor<T>(s, row, picks.degree, picks.count);
  const auto columns = picked_columns<Index>(s.csr, row, picks);
  bool good = true;
  for_each_tile<T>(s.dim, [&]<class TileType>(int64_t column) {
    if (!ltgnn_forward_tile<TileType, T>(p, step, k, row, columns, picks.count, outer, column)) good = false;
  });
  return good;
}

inline int64_t ltgnn_forward(const LtgnnForwardParams& p, const Parallel& parallel) {
  return dispatch_float(p.sample.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const FixedPointStep<T> step(p);
    const int64_t fault = dispatch_index(p.sample.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      return for_each_target(p.sample.num_targets, sampling_operations(p.sample), parallel,
                             [&](int64_t k) { return ltgnn_forward_row<T, Index>(p, step, k); });
    });
    if (fault >= 0 || !p.z) return fault;
    // Only now that every row has been computed from the old tables are they written.
    return for_each_target(p.sample.num_targets, 4 * p.sample.dim, parallel, [&](int64_t k) {
      const int64_t dim = p.sample.dim, offset = p.sample.rows[k] * dim;
      T* z = static_cast<T*>(p.z) + offset;
      T* delta = static_cast<T*>(p.delta) + offset;
      const T* z_new = static_cast<const T*>(p.z_new) + k * dim;
      for (int64_t i = 0; i < dim; ++i) remember(z_new[i], z[i], delta[i]);
      return true;
    });
  });
}

inline int64_t ltgnn_update(const LtgnnUpdateParams& p, const Parallel& parallel) {
  return dispatch_float(p.adam.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const ImplicitGradient<T> implicit(p);
    const AdamScalars<T> scalars(p.adam.constants);
    return for_each_target(p.adam.num_rows, 9 * p.adam.dim, parallel, [&](int64_t k) {
      const int64_t row = p.adam.rows[k], dim = p.adam.dim;
      if (row < 0 || row >= p.adam.table_rows) return false;
      const T* grad = static_cast<const T*>(p.adam.grad) + k * dim;
      const T* h = p.h ? static_cast<const T*>(p.h) + k * dim : nullptr;
      T* g_table = p.g_table ? static_cast<T*>(p.g_table) + row * dim : nullptr;
      adam_row<T>(p.adam, scalars, k, row, [&](int64_t i, auto tag) {
        using V = decltype(load_as<T>(grad + i, tag));
        V neighbours{}, memory;
        if (h) neighbours = load_as<T>(h + i, tag);
        const V gradient = implicit(load_as<T>(grad + i, tag), h != nullptr, neighbours, memory);
        if (g_table) std::memcpy(g_table + i, &memory, sizeof(memory));
        return gradient;
      });
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
