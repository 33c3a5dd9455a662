// Adam on the CPU, dense or on touched rows: rows are distinct, so threads never share one. See
// kernels/adam.h.
#pragma once

#include "core/dispatch.h"
#include "core/lanes.h"
#include "cpu/square_root.h"
#include "cpu/targets.h"
#include "kernels/adam.h"

namespace ltgnn {
namespace LTGNN_ISA {

// The L2 weight of the k-th row that is given.
template <class T>
LTGNN_HD T l2_weight(const AdamParams& p, int64_t k) {
  return p.l2 ? static_cast<const T*>(p.l2)[k] : T(0);
}

// One row; gradient(column, Lanes or scalar tag) gives dL/dp before L2.
template <class T, class Gradient>
LTGNN_HD void adam_row(const AdamParams& p, const AdamScalars<T>& scalars, int64_t row, T l2,
                       const Gradient& gradient) {
  using Lanes = typename LanesOf<T>::type;
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(T);
  T* param = static_cast<T*>(p.param) + row * p.dim;
  T* m = static_cast<T*>(p.m) + row * p.dim;
  T* v = static_cast<T*>(p.v) + row * p.dim;
  T* delta = p.delta ? static_cast<T*>(p.delta) + row * p.dim : nullptr;
  int64_t i = 0;
  for (; i + kLanes <= p.dim; i += kLanes) {
    Lanes value = load_lanes(param + i), m_lanes = load_lanes(m + i), v_lanes = load_lanes(v + i);
    const Lanes change =
        adam_element<T>(scalars, gradient(i, Lanes{}) + l2 * value, m_lanes, v_lanes, SquareRoot{});
    store_lanes(param + i, value + change);
    store_lanes(m + i, m_lanes);
    store_lanes(v + i, v_lanes);
    if (delta) store_lanes(delta + i, load_lanes(delta + i) + change);
  }
  for (; i < p.dim; ++i) {
    const T change = adam_element<T>(scalars, gradient(i, T{}) + l2 * param[i], m[i], v[i], SquareRoot{});
    param[i] += change;
    if (delta) delta[i] += change;
  }
}

// Loads a register or one element, by the type of the tag.
template <class T>
LTGNN_HD typename LanesOf<T>::type load_as(const T* p, typename LanesOf<T>::type) {
  return load_lanes(p);
}
template <class T>
LTGNN_HD T load_as(const T* p, T) {
  return *p;
}

inline int64_t adam(const AdamParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const AdamScalars<T> scalars(p.constants);
    return for_each_target(p.num_rows, 9 * p.dim, parallel, [&](int64_t k) {
      const int64_t row = p.rows ? p.rows[k] : k;
      if (row < 0 || row >= p.table_rows) return false;
      const T* grad = static_cast<const T*>(p.grad) + k * p.dim;
      adam_row<T>(p, scalars, row, l2_weight<T>(p, k),
                  [&](int64_t i, auto tag) { return load_as<T>(grad + i, tag); });
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
