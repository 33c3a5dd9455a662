// What a lane does to its columns of a target in an LTGNN step, for the two halves by themselves and for the
// fused step. Mathematics: kernels/ltgnn_step.h.
#pragma once

#include <cuda_runtime.h>

#include "cuda/adam.cuh"
#include "cuda/lane.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn::cuda {

// Columns [column, column + V) of target k's z_new into row `row` of z, and the change into delta.
template <class T, int V>
LTGNN_HD void remember_columns(const LtgnnForwardParams& p, int64_t k, int64_t row, int64_t column) {
  const int64_t dim = p.sample.dim, at = row * dim + column;
  const auto z_new = load_pack<T, V>(static_cast<const T*>(p.z_new) + k * dim + column);
  auto z = load_pack<T, V>(static_cast<T*>(p.z) + at);
  auto delta = load_pack<T, V>(static_cast<T*>(p.delta) + at);
  for (int i = 0; i < V; ++i) remember(z_new.v[i], z.v[i], delta.v[i]);
  store_pack(static_cast<T*>(p.z) + at, z);
  store_pack(static_cast<T*>(p.delta) + at, delta);
}

// Columns [column, column + V) of target k, row `row`: from dL/dout to the gradient memory and Adam.
template <class T, int V>
LTGNN_HD void update_columns(const LtgnnUpdateParams& p, const ImplicitGradient<T>& implicit,
                             const AdamScalars<T>& scalars, T l2, int64_t k, int64_t row, int64_t column,
                             Pack<T, V> gradient) {
  const int64_t dim = p.adam.dim;
  Pack<T, V> h{}, memory;
  if (p.h) h = load_pack<T, V>(static_cast<const T*>(p.h) + k * dim + column);
  for (int i = 0; i < V; ++i) gradient.v[i] = implicit(gradient.v[i], p.h != nullptr, h.v[i], memory.v[i]);
  if (p.g_table) store_pack(static_cast<T*>(p.g_table) + row * dim + column, memory);
  adam_columns<T, V>(p.adam, scalars, l2, row, column, gradient);
}

}  // namespace ltgnn::cuda
