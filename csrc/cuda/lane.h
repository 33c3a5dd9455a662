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

// V elements that move as one: the alignment is what makes the compiler choose one wide load, of 16 bytes at
// most.
template <class T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Pack {
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
  template <class S>
  LTGNN_HD void add_scaled(Acc w, const S* x) {
    const Pack<S, V> pack = *reinterpret_cast<const Pack<S, V>*>(x);
    for (int i = 0; i < V; ++i) acc[i] += w * load_scalar(pack.v + i);
  }
  LTGNN_HD void scale(Acc w) {
    for (int i = 0; i < V; ++i) acc[i] *= w;
  }
  // Sums of edges as other groups left them, at full precision.
  LTGNN_HD void add_sums(const Acc* sums) {
    const Pack<Acc, V> pack = *reinterpret_cast<const Pack<Acc, V>*>(sums);
    for (int i = 0; i < V; ++i) acc[i] += pack.v[i];
  }
  LTGNN_HD void store_sums(Acc* sums) const {
    Pack<Acc, V> pack;
    for (int i = 0; i < V; ++i) pack.v[i] = acc[i];
    *reinterpret_cast<Pack<Acc, V>*>(sums) = pack;
  }
  LTGNN_HD void spoil() {
    for (int i = 0; i < V; ++i) acc[i] = static_cast<Acc>(NAN);
  }
  template <class S>
  LTGNN_HD void store(S* y) const {
    Pack<S, V> pack;
    for (int i = 0; i < V; ++i) store_scalar(pack.v + i, acc[i]);
    *reinterpret_cast<Pack<S, V>*>(y) = pack;
  }
  // Other warps run while one waits: a prefetch would only spend a second load on each edge.
  static LTGNN_HD void prefetch(const T*, uint64_t) {}
};

// What a lane met: nothing wrong, an edge range that is not usable, or the number of the edge with the bad
// index.
constexpr int64_t kSound = -1, kBadRow = -2;

// A whole row of csr, which is `target` of out. Where something is wrong it comes out as NaN.
template <class T, class Index, int V>
LTGNN_HD int64_t propagate_lane(const PropagateParams& p, int64_t row, int64_t target, int lane, int lanes) {
  using Tile = LaneTile<T, V>;
  using Acc = typename Tile::Acc;
  int64_t met = valid_row(p.csr, row) ? kSound : kBadRow;
  for (int64_t column = int64_t{lane} * V; column < p.dim; column += int64_t{lanes} * V) {
    if (met == kSound) met = propagate_row<Tile, T, Acc, Index>(p, row, target, column);
    if (met == kSound) continue;
    Tile tile;
    tile.spoil();
    tile.store(static_cast<T*>(p.out) + target * p.out_stride + column);
  }
  return met;
}

// A piece of a row's sum, into sums [dim].
template <class T, class Index, int V>
LTGNN_HD int64_t propagate_piece(const PropagateParams& p, int64_t begin, int64_t end,
                                 typename AccumulatorOf<T>::type* sums, int lane, int lanes) {
  using Tile = LaneTile<T, V>;
  using Acc = typename Tile::Acc;
  int64_t met = kSound;
  for (int64_t column = int64_t{lane} * V; column < p.dim; column += int64_t{lanes} * V) {
    Tile tile;
    tile.zero();
    if (met == kSound) met = add_edges<Tile, T, Acc, Index>(p, begin, end, column, tile);
    if (met != kSound) tile.spoil();
    tile.store_sums(sums + column);
  }
  return met;
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

// The same for B rows `b` at once: B loads in flight.
template <class T, int V, int B>
LTGNN_HD void lane_dots(const T* a, const T* const (&b)[B], typename AccumulatorOf<T>::type (&sums)[B],
                        int64_t dim, int lane, int lanes) {
  for (int k = 0; k < B; ++k) sums[k] = 0;
  for (int64_t column = int64_t{lane} * V; column < dim; column += int64_t{lanes} * V) {
    Pack<T, V> right[B];
    for (int k = 0; k < B; ++k) right[k] = *reinterpret_cast<const Pack<T, V>*>(b[k] + column);
    const Pack<T, V> left = *reinterpret_cast<const Pack<T, V>*>(a + column);
    for (int k = 0; k < B; ++k)
      for (int i = 0; i < V; ++i) sums[k] += load_scalar(left.v + i) * load_scalar(right[k].v + i);
  }
}

}  // namespace ltgnn::cuda
