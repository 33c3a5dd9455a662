// The LTGNN step on the CPU. See kernels/ltgnn_step.h.
#pragma once

#include "cpu/adam.h"
#include "cpu/sample_aggregate.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T, class Index>
bool ltgnn_forward_row(const LtgnnForwardParams& p, int64_t k) {
  const SampleAggregateParams& s = p.sample;
  const int64_t row = s.rows[k], dim = s.dim;
  Picks picks;
  if (!draw_picks(s, row, picks)) return false;
  const T outer = sample_factor<T>(s, row, picks.degree, picks.count);
  const T* e0 = static_cast<const T*>(p.e0) + row * dim;
  T* z_new = p.z ? static_cast<T*>(p.z_new) + k * dim : nullptr;
  T* out = static_cast<T*>(p.out) + k * dim;
  const T c0 = static_cast<T>(p.c0), rest = static_cast<T>(1.0 / (1.0 - p.c0));
  bool good = true;
  for_each_tile<T>(dim, [&]<class TileType>(int64_t column) {
    TileType tile;
    if (!aggregate_tile<TileType, T, Index>(s, row, picks, outer, column, tile)) good = false;
    tile.scale(static_cast<T>(1.0 - p.alpha));
    tile.add_scaled(static_cast<T>(p.alpha), e0 + column);
    if (z_new) tile.store(z_new + column);
    tile.add_scaled(-c0, e0 + column);
    tile.scale(rest);
    tile.store(out + column);
    if (!s.second) return;
    if (!gather_picked<TileType, T, Index>(s, static_cast<const T*>(s.second), nullptr, row, picks.position,
                                           picks.count, outer, column, tile))
      good = false;
    tile.store(static_cast<T*>(s.out_second) + k * dim + column);
  });
  return good;
}

inline int64_t ltgnn_forward(const LtgnnForwardParams& p, const Parallel& parallel) {
  return dispatch_float(p.sample.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const int64_t fault = dispatch_index(p.sample.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      return for_each_target(p.sample.num_targets, sampling_operations(p.sample), parallel,
                             [&](int64_t k) { return ltgnn_forward_row<T, Index>(p, k); });
    });
    if (fault >= 0 || !p.z) return fault;
    // Only now that every row has been computed from the old tables are they written.
    return for_each_target(p.sample.num_targets, 4 * p.sample.dim, parallel, [&](int64_t k) {
      const int64_t dim = p.sample.dim, offset = p.sample.rows[k] * dim;
      T* z = static_cast<T*>(p.z) + offset;
      T* delta = static_cast<T*>(p.delta) + offset;
      const T* z_new = static_cast<const T*>(p.z_new) + k * dim;
      for (int64_t i = 0; i < dim; ++i) {
        delta[i] += z_new[i] - z[i];
        z[i] = z_new[i];
      }
      return true;
    });
  });
}

inline int64_t ltgnn_update(const LtgnnUpdateParams& p, const Parallel& parallel) {
  return dispatch_float(p.adam.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const T alpha = static_cast<T>(p.alpha), c0 = static_cast<T>(p.c0);
    const T rest = static_cast<T>(1.0 / (1.0 - p.c0)), kept = static_cast<T>(1.0 - p.alpha);
    const T stored = p.faithful ? static_cast<T>(1.0 - p.c0) : T(1);
    return for_each_target(p.adam.num_rows, 9 * p.adam.dim, parallel, [&](int64_t k) {
      const int64_t row = p.adam.rows[k], dim = p.adam.dim;
      if (row < 0 || row >= p.adam.table_rows) return false;
      const T* grad = static_cast<const T*>(p.adam.grad) + k * dim;
      const T* h = p.h ? static_cast<const T*>(p.h) + k * dim : nullptr;
      T* g_table = p.g_table ? static_cast<T*>(p.g_table) + row * dim : nullptr;
      adam_row<T>(p.adam, k, row, [&](int64_t i, auto tag) {
        const auto d = rest * load_as<T>(grad + i, tag);
        auto g = alpha * d;
        if (h) g += kept * load_as<T>(h + i, tag);
        if (g_table) {
          const auto memory = stored * g;
          std::memcpy(g_table + i, &memory, sizeof(memory));
        }
        return g - c0 * d;
      });
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
