// The kernels of a round of pushes. How they follow each other, and why, is told in push.cu.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "cuda/fault.cuh"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/warp.cuh"
#include "emu/bugs.h"
#include "kernels/push.h"

namespace ltgnn::cuda {

// The bits of `value` or-ed over the group of `lanes` lanes (a power of two) that this lane is in.
__device__ inline unsigned group_or(unsigned value, int lanes) {
  const unsigned mask = LTGNN_PLANTED(push_whole_warp) ? 0xFFFFFFFFu : group_mask(lanes);
  for (int step = lanes / 2; step > 0; step /= 2) value |= __shfl_xor_sync(mask, value, step);
  return value;
}

__device__ __forceinline__ bool is_head(const uint32_t* keys, int64_t at) {
  return at == 0 || keys[at - 1] != keys[at];
}

// keys[k] = rows[k]; of a row number that is none, the number of rows, which comes last and is no row.
static __global__ void __launch_bounds__(kThreadsPerBlock)
    candidates_kernel(const __grid_constant__ PushParams params, FaultSink faults, uint32_t* keys) {
  for_each_row(params.num_candidates, 1, [&](int64_t k, int) {
    const int64_t row = params.rows[k];
    const bool good = row >= 0 && row < params.graph.num_rows;
    if (!good) report_id(faults, IdName::kRows, k, row, params.graph.num_rows);
    keys[k] = static_cast<uint32_t>(good ? row : params.graph.num_rows);
  });
}

// flags[k] = the sorted keys[k] is the first of its kind, and that row's residual is above tol.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    look_kernel(const __grid_constant__ PushParams params, const uint32_t* keys, int64_t count,
                uint32_t* flags, unsigned* states, int lanes) {
  for_each_row(count, lanes, [&](int64_t k, int lane) {
    const int64_t row = keys[k];
    unsigned state = 0;
    if (is_head(keys, k) && row < params.graph.num_rows) {
      const T* r = static_cast<const T*>(params.residual) + row * params.dim;
      for (int64_t c = lane; c < params.dim; c += lanes)
        state |= residual_state(r[c], static_cast<T>(params.tol));
      state = group_or(state, lanes);
    }
    if (lane != 0) return;
    flags[k] = state == kOverTol ? 1u : 0u;
    if (state & kNotFinite) atomicOr(states, state);
  });
}

// out[places[k]] = keys[k] where flagged.
template <class Out>
__global__ void __launch_bounds__(kThreadsPerBlock)
    keep_kernel(const uint32_t* flags, const int64_t* places, const uint32_t* keys, int64_t count, Out* out) {
  for_each_row(count, 1, [&](int64_t k, int) {
    if (flags[k]) out[places[k]] = static_cast<Out>(keys[k]);
  });
}

// lengths[k] = edges of the k-th frontier row, one more with self loops; 0 past the frontier's end (`rows` is
// on the device) and for a row that lies outside the pool, with which the host ends the rounds.
static __global__ void __launch_bounds__(kThreadsPerBlock)
    length_kernel(const __grid_constant__ PushParams params, FaultSink faults, const uint32_t* frontier,
                  const int64_t* rows, int64_t most, int64_t* lengths, uint32_t* spoilt) {
  const int64_t present = *rows;
  for_each_row(most, 1, [&](int64_t k, int) {
    int64_t length = 0;
    if (k < present) {
      const bool good = valid_row(params.graph, frontier[k]);
      if (!good) report_row_range(faults, params.graph, frontier[k]);
      if (good) length = params.graph.degree[frontier[k]] + (params.self_loops ? 1 : 0);
    }
    lengths[k] = length;
    spoilt[k] = 0;
  });
}

template <class Status>
__global__ void status_kernel(const int64_t* rows, const int64_t* edges, Status* status) {
  status->rows = *rows;
  status->edges = *edges;
}

// Pair p in [offsets[k], offsets[k + 1]): (target of that edge of frontier row k, k). The last one of a row
// is its self loop, where there are any.
template <class Index>
__global__ void __launch_bounds__(kThreadsPerBlock)
    expand_kernel(const __grid_constant__ PushParams params, FaultSink faults, const uint32_t* frontier,
                  const int64_t* offsets, int64_t rows, int64_t edges, uint32_t* keys, uint32_t* values,
                  uint32_t* spoilt) {
  const auto* indices = static_cast<const Index*>(params.graph.indices);
  for_each_row(edges, 1, [&](int64_t p, int) {
    int64_t low = 0, high = rows;  // the last k with offsets[k] <= p
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      if (LTGNN_PLANTED(push_late_row) ? offsets[middle] < p : offsets[middle] <= p)
        low = middle;
      else
        high = middle;
    }
    const int64_t row = frontier[low], position = p - offsets[low];
    int64_t target = row;
    if (position < params.graph.degree[row]) {
      const int64_t at = params.graph.begin[row] + position;
      target = static_cast<int64_t>(indices[at]);
      const int64_t before = position > 0 ? static_cast<int64_t>(indices[at - 1]) : 0;
      const bool inside = target >= 0 && target < params.graph.num_rows;
      if (!inside || target < before) {
        // Where the one before is out of range, that is the fault; its own thread says so.
        if (!inside)
          report_index(faults, params.graph, at, target, row);
        else if (before < params.graph.num_rows)
          report_order(faults, at, target, row, before);
        atomicOr(spoilt + low, 1u);
        if (!inside) target = params.graph.num_rows;
      }
    }
    keys[p] = static_cast<uint32_t>(target);
    values[p] = static_cast<uint32_t>(low);
  });
}

// delta[k] = R_j, Y_j += R_j, R_j = 0 for frontier row j; all NaN where its list is malformed.
template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock)
    take_kernel(const __grid_constant__ PushParams params, const uint32_t* frontier, const uint32_t* spoilt,
                int64_t rows, T* delta, int lanes) {
  for_each_row(rows, lanes, [&](int64_t k, int lane) {
    T* r = static_cast<T*>(params.residual) + int64_t{frontier[k]} * params.dim;
    T* y = static_cast<T*>(params.y) + int64_t{frontier[k]} * params.dim;
    const bool bad = spoilt[k] != 0;
    for (int64_t column = int64_t{lane} * V; column < params.dim; column += int64_t{lanes} * V) {
      LaneTile<T, V> tile;
      tile.zero();
      tile.add_scaled(T(1), r + column);
      if (bad) tile.scale(static_cast<T>(NAN));
      tile.store(delta + k * params.dim + column);
      tile.add_scaled(T(1), y + column);
      tile.store(y + column);
      for (int i = 0; i < V; ++i) tile.acc[i] = bad ? static_cast<T>(NAN) : T(0);
      tile.store(r + column);
    }
  });
}

// At the first pair of each target i: R_i += (1 - alpha) / D_i times the sum of its contributions, in their
// order; flags it where it is now above tol. Pairs that are no first ones, or have no target, are not
// flagged.
template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    accumulate_kernel(const __grid_constant__ PushParams params, const uint32_t* keys, const uint32_t* values,
                      const T* delta, int64_t pairs, uint32_t* flags, unsigned* states, int lanes) {
  for_each_row(pairs, lanes, [&](int64_t first, int lane) {
    const uint32_t key = keys[first];
    unsigned state = 0;
    if (is_head(keys, first) && int64_t{key} < params.graph.num_rows) {
      const T weight = push_weight<T>(params.graph, key, params.alpha, params.self_loops);
      T* r = static_cast<T*>(params.residual) + int64_t{key} * params.dim;
      for (int64_t column = int64_t{lane} * V; column < params.dim; column += int64_t{lanes} * V) {
        LaneTile<T, V> tile;
        tile.zero();
        tile.add_scaled(T(1), r + column);
        for (int64_t p = first; (p < pairs || LTGNN_PLANTED(push_past_the_end)) && keys[p] == key; ++p)
          tile.add_scaled(weight, delta + int64_t{values[p]} * params.dim + column);
        tile.store(r + column);
        for (int i = 0; i < V; ++i) state |= residual_state(tile.acc[i], static_cast<T>(params.tol));
      }
      state = group_or(state, lanes);
    }
    if (lane != 0) return;
    flags[first] = state == kOverTol ? 1u : 0u;
    if (state & kNotFinite) atomicOr(states, state);
  });
}

// flags[k] = the sorted keys[k] is the first of its kind.
static __global__ void __launch_bounds__(kThreadsPerBlock)
    heads_kernel(const uint32_t* keys, int64_t count, uint32_t* flags) {
  for_each_row(count, 1, [&](int64_t k, int) { flags[k] = is_head(keys, k) ? 1u : 0u; });
}

static __global__ void __launch_bounds__(kThreadsPerBlock)
    widen_kernel(const uint32_t* rows, int64_t count, int64_t* out) {
  for_each_row(count, 1, [&](int64_t k, int) { out[k] = rows[k]; });
}

}  // namespace ltgnn::cuda
