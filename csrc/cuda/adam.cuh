// One row of Adam by a group of lanes, V neighbouring columns a lane. Mathematics: kernels/adam.h.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "core/rounding.h"
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

// V columns as the sums hold them, from and to a table of S; what is stored has been rounded to S.
template <class S, int V, class Acc = typename AccumulatorOf<S>::type>
LTGNN_HD Pack<Acc, V> load_sums(const S* p) {
  const Pack<S, V> pack = load_pack<S, V>(p);
  Pack<Acc, V> sums;
  for (int i = 0; i < V; ++i) sums.v[i] = load_scalar(pack.v + i);
  return sums;
}
template <class S, int V, class Acc>
LTGNN_HD void store_sums(S* p, const Pack<Acc, V>& sums) {
  Pack<S, V> pack;
  for (int i = 0; i < V; ++i) store_scalar(pack.v + i, sums.v[i]);
  store_pack(p, pack);
}

// The random bits of one element of a table of S; none where S is stored as it is.
template <class S>
LTGNN_HD uint32_t rounding_bits(const RoundingKey& key, int64_t column) {
  if constexpr (sizeof(S) == 2)
    return key.bits(static_cast<uint32_t>(column));
  else
    return 0;
}

// The L2 weight of row `row`, which is the k-th of those that are given.
template <class T>
LTGNN_HD T l2_weight(const AdamParams& p, int64_t k, [[maybe_unused]] int64_t row) {
  return p.l2 ? static_cast<const T*>(p.l2)[LTGNN_PLANTED(adam_l2_by_row) ? row % p.num_rows : k] : T(0);
}

// Columns [column, column + V) of row `row`; g is dL/dp before L2. param holds E, the other tables M;
// `rounding` is the step.
template <class E, class M, int V, class Acc>
LTGNN_HD void adam_columns(const AdamParams& p, const AdamScalars<Acc>& scalars, Acc l2, uint64_t rounding,
                           int64_t row, int64_t column, const Pack<Acc, V>& g) {
  const int64_t at = row * p.dim + column;
  M* delta = static_cast<M*>(p.delta);
  Pack<Acc, V> value = load_sums<E, V>(static_cast<E*>(p.param) + at);
  Pack<Acc, V> m = load_sums<M, V>(static_cast<M*>(p.m) + at);
  Pack<Acc, V> v = load_sums<M, V>(static_cast<M*>(p.v) + at);
  Pack<Acc, V> change;
  if (delta) change = load_sums<M, V>(delta + at);
  const RoundingKey key(rounding, RoundedPair::kParamAndMemory, row);
  const RoundingKey moments_key(rounding, RoundedPair::kMoments, row);
  const RoundingKey delta_key(rounding, RoundedPair::kDeltaOfOneHop, row);
  for (int i = 0; i < V; ++i) {
    const Acc step = adam_element<Acc>(scalars, g.v[i] + l2 * value.v[i], m.v[i], v.v[i], DeviceSquareRoot{});
    const uint32_t moment_bits = rounding_bits<M>(moments_key, column + i);
    const Acc stored = rounded<E>(value.v[i] + step, rounding_bits<M>(key, column + i) & 0xFFFFu);
    m.v[i] = rounded<M>(m.v[i], moment_bits & 0xFFFFu);
    v.v[i] = rounded<M>(v.v[i], moment_bits >> 16);
    if (delta)
      change.v[i] = rounded<M>(change.v[i] + stored_change<E>(stored, value.v[i], step),
                               rounding_bits<M>(delta_key, column + i) & 0xFFFFu);
    value.v[i] = stored;
  }
  store_sums(static_cast<E*>(p.param) + at, value);
  store_sums(static_cast<M*>(p.m) + at, m);
  store_sums(static_cast<M*>(p.v) + at, v);
  if (delta) store_sums(delta + at, change);
}

// Every table of p can be read and written as packs.
template <class T>
bool adam_packable(const AdamParams& p) {
  return packable<T>(p.param, p.dim) && packable<T>(p.m, p.dim) && packable<T>(p.v, p.dim) &&
         packable<T>(p.grad, p.dim) && packable<T>(p.delta, p.dim);
}

}  // namespace ltgnn::cuda
