// edge_dot, one edge of a sampled dense-dense product:
//
//   y_e = factor * s_r * t_c * <g_r, x_c>        for edge e from row r to column c
//
// It is the gradient of propagate with respect to the edge weights (factor = 1 - alpha, g the gradient of
// the output). Bytes per edge: dim * sizeof(x) gathered + one index + one result; g_r stays in cache.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"

namespace ltgnn {

struct EdgeDotParams {
  CsrView csr;
  const void* row_scale = nullptr;  // [num_rows] or null; accumulator type
  const void* col_scale = nullptr;  // [num_cols] or null; accumulator type
  const void* g = nullptr;          // [num_rows, dim], rows g_stride elements apart
  const void* x = nullptr;          // [num_cols, dim], rows x_stride elements apart
  void* out = nullptr;              // [num_edges]; accumulator type
  int64_t g_stride = 0, x_stride = 0;
  int64_t dim = 0;
  double factor = 1.0;
  DType type = DType::kFloat32;
};

// All edges of one row; dot(a, b) is the caller's inner product over dim, and write(y, value) stores a result
// (a device's lanes share a dot and only one of them writes). Returns the first edge whose index is out of
// range, or -1.
template <class T, class Acc, class Index, class Dot, class Write>
LTGNN_HD int64_t edge_dot_row(const EdgeDotParams& p, int64_t row, const Dot& dot, const Write& write) {
  const auto* indices = static_cast<const Index*>(p.csr.indices);
  const auto* col_scale = static_cast<const Acc*>(p.col_scale);
  const T* g = static_cast<const T*>(p.g) + row * p.g_stride;
  const T* x = static_cast<const T*>(p.x);
  Acc outer = static_cast<Acc>(p.factor);
  if (p.row_scale) outer *= static_cast<const Acc*>(p.row_scale)[row];
  for (int64_t e = p.csr.indptr[row]; e < p.csr.indptr[row + 1]; ++e) {
    const int64_t c = static_cast<int64_t>(indices[e]);
    if (static_cast<uint64_t>(c) >= static_cast<uint64_t>(p.csr.num_cols)) return e;
    const Acc w = col_scale ? outer * col_scale[c] : outer;
    write(static_cast<Acc*>(p.out) + e, w * dot(g, x + c * p.x_stride));
  }
  return -1;
}

}  // namespace ltgnn
