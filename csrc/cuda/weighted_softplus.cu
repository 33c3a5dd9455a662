// weighted_softplus_ on CUDA. A score's mathematics is kernels/weighted_softplus.h, the same text as on the
// CPU:
//
//   loss_i = sum_j w_ij softplus(s_ij),   s_ij <- w_ij sigmoid(s_ij),   w_ij = of_row_i of_column_j +
//   of_all_j
//
// Mapping: a warp a row, lanes on neighbouring columns; each lane adds its terms up in double, the warp adds
// the lanes' in a fixed order. Bytes per score: 2 sizeof(T); the columns' vectors stay in the second-level
// cache. At fp32 an H100 with 3.0 TB/s of copies does 375 G scores a second. Known limit: few rows leave
// processors idle, since a row is one warp's.
#include "core/dispatch.h"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/warp.cuh"
#include "emu/bugs.h"

namespace ltgnn::cuda {
namespace {

constexpr int kLanes = 32;

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    weighted_softplus_kernel(const __grid_constant__ WeightedSoftplusParams p) {
  for_each_row(p.num_rows, kLanes, [&](int64_t row, int lane) {
    T* scores = static_cast<T*>(p.scores) + row * p.num_columns;
    const T* of_column = static_cast<const T*>(p.of_column);
    const T* of_all = static_cast<const T*>(p.of_all);
    const T of_row = static_cast<const T*>(p.of_row)[row];
    double sum = 0.0;
    for (int64_t j = lane; j < p.num_columns; j += kLanes)
      sum += static_cast<double>(weighted_softplus_term(scores + j, of_row * of_column[j] + of_all[j]));
    sum = group_sum(sum, LTGNN_PLANTED(weighted_softplus_lanes) ? kLanes / 2 : kLanes);
    if (lane == 0) p.loss[row] = sum;
  });
}

}  // namespace

void weighted_softplus(const WeightedSoftplusParams& p, const Launch& at) {
  dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    launch("weighted_softplus_", weighted_softplus_kernel<T>, blocks_for(p.num_rows, kLanes),
           kThreadsPerBlock, 0, at.stream, p);
  });
}

}  // namespace ltgnn::cuda
