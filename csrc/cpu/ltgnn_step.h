// The LTGNN step on the CPU. See kernels/ltgnn_step.h.
#pragma once

#include "cpu/adam.h"
#include "cpu/sample_aggregate.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Computes out, z_new and h of all targets; writes no table.
template <class T>
int64_t ltgnn_forward_rows(const LtgnnForwardParams& p, const Parallel& parallel) {
  const SampleAggregateParams& s = p.sample;
  const FixedPointStep<T> step(p);
  return dispatch_index(s.csr.index_type, [&](auto index) {
    using Target = DrawnTarget<typename decltype(index)::type>;
    return for_each_drawn_target<typename decltype(index)::type>(
        s, sampling_operations(s), parallel,
        [&](const Target& target) {
          prefetch_row(p.e0, target.row, s.dim * static_cast<int64_t>(sizeof(T)));
          prefetch_target<T>(s, target);
        },
        [&](int64_t k, const Target& target) {
          const T outer = sample_factor<T>(s, target.row, target.degree, target.count);
          for_each_tile<T>(s.dim, [&]<class TileType>(int64_t column) {
            ltgnn_forward_tile<TileType, T>(p, step, k, target.row, target, target.count, outer, column);
          });
        });
  });
}

// Writes target k's z_new into the memory.
template <class T>
void remember_row(const LtgnnForwardParams& p, int64_t k) {
  const int64_t dim = p.sample.dim, offset = p.sample.rows[k] * dim;
  T* z = static_cast<T*>(p.z) + offset;
  T* delta = static_cast<T*>(p.delta) + offset;
  const T* z_new = static_cast<const T*>(p.z_new) + k * dim;
  for (int64_t i = 0; i < dim; ++i) remember(z_new[i], z[i], delta[i]);
}

inline int64_t ltgnn_forward(const LtgnnForwardParams& p, const Parallel& parallel) {
  return dispatch_float(p.sample.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const int64_t fault = ltgnn_forward_rows<T>(p, parallel);
    if (fault >= 0 || !p.z) return fault;
    // Only now that every row has been computed from the old tables are they written.
    return for_each_target(p.sample.num_targets, 4 * p.sample.dim, parallel, [&](int64_t k) {
      remember_row<T>(p, k);
      return true;
    });
  });
}

// From dL/dout of target k, row `row`, to the gradient memory and Adam. gradient(column, tag): see adam_row.
template <class T, class Gradient>
void ltgnn_update_row(const LtgnnUpdateParams& p, const ImplicitGradient<T>& implicit,
                      const AdamScalars<T>& scalars, int64_t k, int64_t row, T l2, const Gradient& gradient) {
  const int64_t dim = p.adam.dim;
  const T* h = p.h ? static_cast<const T*>(p.h) + k * dim : nullptr;
  T* g_table = p.g_table ? static_cast<T*>(p.g_table) + row * dim : nullptr;
  adam_row<T>(p.adam, scalars, row, l2, [&](int64_t i, auto tag) {
    decltype(tag) neighbours{}, memory;
    if (h) neighbours = load_as<T>(h + i, tag);
    const auto result = implicit(gradient(i, tag), h != nullptr, neighbours, memory);
    if (g_table) std::memcpy(g_table + i, &memory, sizeof(memory));
    return result;
  });
}

inline int64_t ltgnn_update(const LtgnnUpdateParams& p, const Parallel& parallel) {
  return dispatch_float(p.adam.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const ImplicitGradient<T> implicit(p);
    const AdamScalars<T> scalars(p.adam.constants);
    return for_each_target(p.adam.num_rows, 9 * p.adam.dim, parallel, [&](int64_t k) {
      const int64_t row = p.adam.rows[k];
      if (row < 0 || row >= p.adam.table_rows) return false;
      const T* grad = static_cast<const T*>(p.adam.grad) + k * p.adam.dim;
      ltgnn_update_row<T>(p, implicit, scalars, k, row, l2_weight<T>(p.adam, k),
                          [&](int64_t i, auto tag) { return load_as<T>(grad + i, tag); });
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
