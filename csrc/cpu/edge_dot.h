// edge_dot on the CPU: one row after another, its edges in order. See kernels/edge_dot.h.
#pragma once

#include "core/dispatch.h"
#include "cpu/inner_product.h"
#include "cpu/prefetch.h"
#include "cpu/rows.h"
#include "kernels/edge_dot.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T>
struct RowDot {
  using Acc = typename AccumulatorOf<T>::type;
  static constexpr int64_t kAhead = 16;  // edges between a prefetch and its use
  int64_t dim;

  Acc operator()(const T* a, const T* b) const { return inner_product<Acc>(a, b, dim); }
  void ask(const T* x, int64_t row, int64_t stride) const {
    constexpr auto kBytes = static_cast<int64_t>(sizeof(T));
    prefetch_row(x, row, stride * kBytes, dim * kBytes);
  }
};

inline int64_t edge_dot(const EdgeDotParams& params, const Parallel& parallel) {
  return dispatch_storage(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    using Acc = typename AccumulatorOf<T>::type;
    return dispatch_index(params.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      return for_each_row(params.csr, params.dim, parallel, [&](int64_t row) {
        const RowDot<T> dot{params.dim};
        const auto write = [](Acc* y, Acc value) { *y = value; };
        return edge_dot_row<T, Acc, Index>(params, row, dot, write) < 0;
      });
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
