// propagate on CUDA. The mathematics of a row is kernels/propagate.h, the same text as on the CPU:
//
//   y_r = (1 - alpha) s_r ( sum_e w_e t_c x_c + [self loops] t_r x_r ) + alpha x0_r
//
// Mapping: one group of lanes per row (a warp for dim >= 128 floats, less for narrower rows), lanes over
// columns, edges in order: the same bits on every run. Four gathers of 16 bytes in flight for each lane.
// Bytes per edge: dim * sizeof(x) gathered + one index (4 or 8) + 4 each for weight and col_scale if given.
// Known limit: a hub row is walked by one group, however long it is.
#include "core/dispatch.h"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"

namespace ltgnn::cuda {
namespace {

template <class T, class Index, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    propagate_kernel(const __grid_constant__ PropagateParams params, FaultSink faults, int lanes) {
  for_each_row(params.csr.num_rows, lanes,
               [&](int64_t row, int lane) { propagate_lane<T, Index, V>(params, row, lane, lanes); });
}

template <class T, class Index, int V>
void start(const PropagateParams& params, const Launch& at) {
  const int lanes = lanes_for(params.dim, V);
  launch("propagate", propagate_kernel<T, Index, V>, blocks_for(params.csr.num_rows, lanes), kThreadsPerBlock,
         0, at.stream, params, at.faults, lanes);
}

}  // namespace

void propagate(const PropagateParams& params, const Launch& at) {
  if (params.csr.num_rows == 0 || params.dim == 0) return;
  dispatch_storage(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool wide = params.dim % kPackWidth<T> == 0 && packable<T>(params.x, params.x_stride) &&
                      packable<T>(params.x0, params.x0_stride) && packable<T>(params.out, params.out_stride);
    dispatch_index(params.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      if (wide)
        start<T, Index, kPackWidth<T>>(params, at);
      else
        start<T, Index, 1>(params, at);
    });
  });
}

}  // namespace ltgnn::cuda
