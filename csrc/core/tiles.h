// Neighbouring columns of a row in registers, for sums of rows: Tile<Acc, N> is N registers of accumulators.
// For what is left when a width is not a multiple of a register, PartTile is a half or a quarter of one, and
// Tile<Acc, 0> one scalar column.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class Acc, int N>
struct Tile {
  using Lanes = typename LanesOf<Acc>::type;
  static constexpr int kLanes = sizeof(Lanes) / sizeof(Acc);
  static constexpr int kColumns = N * kLanes;
  static constexpr int kBatch = 1;  // out-of-order execution overlaps the loads of successive edges by itself
  Lanes acc[N];

  LTGNN_HD void zero() {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) acc[i] = Lanes{};
  }
  LTGNN_HD void load(const Acc* y) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) acc[i] = load_lanes(y + i * kLanes);
  }
  template <class T>
  LTGNN_HD void add_scaled(Acc w, const T* x) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) acc[i] += w * load_lanes(x + i * kLanes);
  }
  LTGNN_HD void scale(Acc w) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) acc[i] *= w;
  }
  template <class T>
  LTGNN_HD void store(T* y) const {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) store_lanes(y + i * kLanes, acc[i]);
  }
  // Unsigned address arithmetic, since the offset may be nonsense (see kernels/propagate.h). kLocality as the
  // compiler's builtin takes it: 3 into every cache, 2 into all but the first.
  template <int kLocality = 3, class T>
  static LTGNN_HD void prefetch(const T* x, uint64_t offset) {
    constexpr int kBytes = kColumns * static_cast<int>(sizeof(T));
    const uint64_t address = reinterpret_cast<uint64_t>(x) + offset * sizeof(T);
#pragma GCC unroll 8
    for (int i = 0; i < kBytes; i += 64)
      __builtin_prefetch(reinterpret_cast<const void*>(address + i), 0, kLocality);
  }
};

template <class Acc>
struct Tile<Acc, 0> {
  static constexpr int kColumns = 1;
  static constexpr int kBatch = 1;
  Acc acc;

  LTGNN_HD void zero() { acc = 0; }
  LTGNN_HD void load(const Acc* y) { acc = *y; }
  template <class T>
  LTGNN_HD void add_scaled(Acc w, const T* x) {
    acc += w * load_scalar(x);
  }
  LTGNN_HD void scale(Acc w) { acc *= w; }
  template <class T>
  LTGNN_HD void store(T* y) const {
    store_scalar(y, acc);
  }
  template <int kLocality = 3, class T>
  static LTGNN_HD void prefetch(const T*, uint64_t) {}
};

// kCount neighbouring columns, fewer than a register holds.
template <class Acc, int kCount>
struct PartTile {
  typedef Acc Lanes __attribute__((vector_size(kCount * sizeof(Acc))));
  static constexpr int kColumns = kCount;
  static constexpr int kBatch = 1;
  Lanes acc;

  LTGNN_HD void zero() { acc = Lanes{}; }
  LTGNN_HD void load(const Acc* y) { std::memcpy(&acc, y, sizeof(acc)); }
  template <class T>
  LTGNN_HD void add_scaled(Acc w, const T* x) {
    Lanes row;
    if constexpr (std::is_same_v<T, Acc>) {
      std::memcpy(&row, x, sizeof(row));
    } else {
      for (int i = 0; i < kCount; ++i) row[i] = load_scalar(x + i);
    }
    acc += w * row;
  }
  LTGNN_HD void scale(Acc w) { acc *= w; }
  template <class T>
  LTGNN_HD void store(T* y) const {
    if constexpr (std::is_same_v<T, Acc>) {
      std::memcpy(y, &acc, sizeof(acc));
    } else {
      for (int i = 0; i < kCount; ++i) store_scalar(y + i, static_cast<Acc>(acc[i]));
    }
  }
  template <int kLocality = 3, class T>
  static LTGNN_HD void prefetch(const T* x, uint64_t offset) {
    const uint64_t address = reinterpret_cast<uint64_t>(x) + offset * sizeof(T);
    __builtin_prefetch(reinterpret_cast<const void*>(address), 0, kLocality);
  }
};

// Calls body with PartTile of so many bytes once, where the instruction set has larger registers and as many
// columns are left.
template <class Acc, int kBytes, class Body>
LTGNN_HD void part_of_tile(int64_t dim, int64_t& column, const Body& body) {
  if constexpr (kBytes < LTGNN_VECTOR_BYTES) {
    using Part = PartTile<Acc, kBytes / static_cast<int>(sizeof(Acc))>;
    if (column + Part::kColumns > dim) return;
    body.template operator()<Part>(column);
    column += Part::kColumns;
  }
}

// Calls body.template operator()<Tile>(first_column) for tiles that cover [0, dim): the widest first.
template <class Acc, class Body>
LTGNN_HD void for_each_tile(int64_t dim, const Body& body) {
  int64_t column = 0;
  for (; column + Tile<Acc, 8>::kColumns <= dim; column += Tile<Acc, 8>::kColumns)
    body.template operator()<Tile<Acc, 8>>(column);
  for (; column + Tile<Acc, 4>::kColumns <= dim; column += Tile<Acc, 4>::kColumns)
    body.template operator()<Tile<Acc, 4>>(column);
  for (; column + Tile<Acc, 2>::kColumns <= dim; column += Tile<Acc, 2>::kColumns)
    body.template operator()<Tile<Acc, 2>>(column);
  for (; column + Tile<Acc, 1>::kColumns <= dim; column += Tile<Acc, 1>::kColumns)
    body.template operator()<Tile<Acc, 1>>(column);
  part_of_tile<Acc, 32>(dim, column, body);
  part_of_tile<Acc, 16>(dim, column, body);
  for (; column < dim; ++column) body.template operator()<Tile<Acc, 0>>(column);
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
