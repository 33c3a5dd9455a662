// One row of Adam by a group of lanes, V neighbouring columns a lane. Mathematics: kernels/adam.h.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "cuda/lane.h"
#include "emu/bugs.h"
#include "kernels/adam.h"

namespace ltgnn::cuda {

// Blocks of a kernel that ends in Adam which a processor holds: at most 64 registers a thread, for a division
// and a root of every column at once.
constexpr int kAdamBlocks = 8;

struct DeviceSquareRoot {
  template <class T>
  LTGNN_HD T operator()(T x) const {
    return std::sqrt(x);
  }
};

template <class T, int V>
LTGNN_HD Pack<T, V> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, V>*>(p);
}
template <class T, int V>
LTGNN_HD void store_pack(T* p, const Pack<T, V>& pack) {
  *reinterpret_cast<Pack<T, V>*>(p) = pack;
}

// The L2 weight of row `row`, which is the k-th of those that are given.
template <class T>
LTGNN_HD T l2_weight(const AdamParams& p, int64_t k, [[maybe_unused]] int64_t row) {
  return p.l2 ? static_cast<const T*>(p.l2)[LTGNN_PLANTED(adam_l2_by_row) ? row % p.num_rows : k] : T(0);
}

// Columns [column, column + V) of row `row`; g is dL/dp before L2.
template <class T, int V>
LTGNN_HD void adam_columns(const AdamParams& p, const AdamScalars<T>& scalars, T l2, int64_t row,
                           int64_t column, const Pack<T, V>& g) {
  const int64_t at = row * p.dim + column;
  T* delta = static_cast<T*>(p.delta);
  Pack<T, V> value = load_pack<T, V>(static_cast<T*>(p.param) + at);
  Pack<T, V> m = load_pack<T, V>(static_cast<T*>(p.m) + at);
  Pack<T, V> v = load_pack<T, V>(static_cast<T*>(p.v) + at);
  Pack<T, V> change;
  if (delta) change = load_pack<T, V>(delta + at);
  for (int i = 0; i < V; ++i) {
    const T step = adam_element<T>(scalars, g.v[i] + l2 * value.v[i], m.v[i], v.v[i], DeviceSquareRoot{});
    value.v[i] += step;
    if (delta) change.v[i] += step;
  }
  store_pack(static_cast<T*>(p.param) + at, value);
  store_pack(static_cast<T*>(p.m) + at, m);
  store_pack(static_cast<T*>(p.v) + at, v);
  if (delta) store_pack(delta + at, change);
}

// Every table of p can be read and written as packs.
template <class T>
bool adam_packable(const AdamParams& p) {
  return packable<T>(p.param, p.dim) && packable<T>(p.m, p.dim) && packable<T>(p.v, p.dim) &&
         packable<T>(p.grad, p.dim) && packable<T>(p.delta, p.dim);
}

}  // namespace ltgnn::cuda
