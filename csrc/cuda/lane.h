// What one lane of a row's group does: columns [lane * V, lane * V + V) and every `lanes * V` further on.
// Plain C++ without CUDA, so that the C++ tests run every lane in turn on the CPU, under sanitizers.
//
// LaneTile<T, V> is V neighbouring columns in registers. With V = 16 / sizeof(T) each gather is one 128-bit
// load, and the lanes of a group read one unbroken piece of the row.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"
#include "core/scalar.h"
#include "kernels/edge_dot.h"
#include "kernels/propagate.h"

namespace ltgnn::cuda {

// V elements that move as one: the alignment is what makes the compiler choose one wide load.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T v[V];
};

template <class T>
constexpr int kPackWidth = 16 / static_cast<int>(sizeof(T));

// Rows at `p`, `stride` elements apart, can be read and written as packs.
template <class T>
bool packable(const void* p, int64_t stride) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride % kPackWidth<T> == 0;
}

template <class T, int V>
struct LaneTile {
  using Acc = typename AccumulatorOf<T>::type;
  static constexpr int kBatch = 4;  // loads in flight for each lane; more costs registers, so resident warps
  Acc acc[V];

  LTGNN_HD void zero() {
    for (int i = 0; i < V; ++i) acc[i] = 0;
  }
  LTGNN_HD void add_scaled(Acc w, const T* x) {
    const Pack<T, V> pack = *reinterpret_cast<const Pack<T, V>*>(x);
    for (int i = 0; i < V; ++i) acc[i] += w * load_scalar(pack.v + i);
  }
  LTGNN_HD void scale(Acc w) {
    for (int i = 0; i < V; ++i) acc[i] *= w;
  }
  LTGNN_HD void store(T* y) const {
    Pack<T, V> pack;
    for (int i = 0; i < V; ++i) store_scalar(pack.v + i, acc[i]);
    *reinterpret_cast<Pack<T, V>*>(y) = pack;
  }
  // Other warps run while one waits: a prefetch would only spend a second load on each edge.
  static LTGNN_HD void prefetch(const T*, uint64_t) {}
};

template <class T, class Index, int V>
LTGNN_HD void propagate_lane(const PropagateParams& p, int64_t row, int lane, int lanes) {
  using Tile = LaneTile<T, V>;
  using Acc = typename Tile::Acc;
  const bool usable = valid_row(p.csr, row);
  for (int64_t column = int64_t{lane} * V; column < p.dim; column += int64_t{lanes} * V) {
    if (usable && propagate_row<Tile, T, Acc, Index>(p, row, column) < 0) continue;
    Tile tile;
    for (int i = 0; i < V; ++i) tile.acc[i] = static_cast<Acc>(NAN);
    tile.store(static_cast<T*>(p.out) + row * p.out_stride + column);
  }
}

// This lane's share of <a, b>.
template <class T, int V>
LTGNN_HD typename AccumulatorOf<T>::type lane_dot(const T* a, const T* b, int64_t dim, int lane, int lanes) {
  typename AccumulatorOf<T>::type sum = 0;
  for (int64_t column = int64_t{lane} * V; column < dim; column += int64_t{lanes} * V) {
    const Pack<T, V> left = *reinterpret_cast<const Pack<T, V>*>(a + column);
    const Pack<T, V> right = *reinterpret_cast<const Pack<T, V>*>(b + column);
    for (int i = 0; i < V; ++i) sum += load_scalar(left.v + i) * load_scalar(right.v + i);
  }
  return sum;
}

}  // namespace ltgnn::cuda
