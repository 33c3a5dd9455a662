// What a lane does to its columns of a target in an LTGNN step, for the two halves by themselves and for the
// fused step. Mathematics: kernels/ltgnn_step.h.
#pragma once

#include <cuda_runtime.h>

#include "cuda/adam.cuh"
#include "cuda/lane.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn::cuda {

// Columns [column, column + V) of target k's z_new into row `row` of z, and the change into delta, tables of
// M; `rounding` is the seed of the forward.
template <class M, int V>
LTGNN_HD void remember_columns(const LtgnnForwardParams& p, int64_t k, int64_t row, int64_t column,
                               uint64_t rounding) {
  using T = typename AccumulatorOf<M>::type;
  const int64_t dim = p.sample.dim, at = row * dim + column;
  const auto z_new = load_pack<T, V>(static_cast<const T*>(p.z_new) + k * dim + column);
  auto z = load_sums<M, V>(static_cast<M*>(p.z) + at);
  auto delta = load_sums<M, V>(static_cast<M*>(p.delta) + at);
  const RoundingKey key(rounding, RoundedPair::kZAndDelta, row);
  for (int i = 0; i < V; ++i) remember<M>(z_new.v[i], z.v[i], delta.v[i], rounding_bits<M>(key, column + i));
  store_sums(static_cast<M*>(p.z) + at, z);
  store_sums(static_cast<M*>(p.delta) + at, delta);
}

// Columns [column, column + V) of target k, row `row`: from dL/dout to the gradient memory and Adam.
// `rounding` is the step.
template <class E, class M, int V, class T>
LTGNN_HD void update_columns(const LtgnnUpdateParams& p, const ImplicitGradient<T>& implicit,
                             const AdamScalars<T>& scalars, T l2, uint64_t rounding, int64_t k, int64_t row,
                             int64_t column, Pack<T, V> gradient) {
  const int64_t dim = p.adam.dim;
  Pack<T, V> h{}, memory;
  if (p.h) h = load_pack<T, V>(static_cast<const T*>(p.h) + k * dim + column);
  for (int i = 0; i < V; ++i) gradient.v[i] = implicit(gradient.v[i], p.h != nullptr, h.v[i], memory.v[i]);
  if (p.g_table) {
    const RoundingKey key(rounding, RoundedPair::kParamAndMemory, row);
    for (int i = 0; i < V; ++i)
      memory.v[i] = rounded<M>(memory.v[i], rounding_bits<M>(key, column + i) >> 16);
    store_sums(static_cast<M*>(p.g_table) + row * dim + column, memory);
  }
  adam_columns<E, M, V>(p.adam, scalars, l2, rounding, row, column, gradient);
}

}  // namespace ltgnn::cuda
