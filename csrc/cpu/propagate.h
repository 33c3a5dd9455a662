// propagate on the CPU: one row after another, a tile of columns at a time, so that the accumulators of a
// tile stay in registers over all edges of the row. See kernels/propagate.h for the mathematics.
#pragma once

#include "core/dispatch.h"
#include "core/lanes.h"
#include "cpu/rows.h"
#include "kernels/propagate.h"

namespace ltgnn {
namespace LTGNN_ISA {

inline int64_t propagate(const PropagateParams& params, const Parallel& parallel) {
  return dispatch_storage(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    using Acc = typename AccumulatorOf<T>::type;
    return dispatch_index(params.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      return for_each_row(params.csr, params.dim, parallel, [&](int64_t row) {
        bool good = true;
        for_each_tile<Acc>(params.dim, [&]<class TileType>(int64_t column) {
          good = good && propagate_row<TileType, T, Acc, Index>(params, row, column) < 0;
        });
        return good;
      });
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
