// edge_dot on CUDA. The mathematics of an edge is kernels/edge_dot.h, the same text as on the CPU:
//
//   y_e = factor s_r t_c <g_r, x_c>
//
// Mapping: one group of lanes per row, lanes over columns, edges in order; each product is summed over the
// group by shuffles in a fixed order, and its first lane writes.
// Bytes per edge: dim * sizeof(x) gathered + one index + one result written twice (it starts as NaN, and
// stays so where an index or a row pointer is out of range); g_r stays in the first-level cache.
#include "core/dispatch.h"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/warp.cuh"

namespace ltgnn::cuda {
namespace {

// What the shared template asks of its caller. Named types: a lambda would be device code only.
template <class T, int V>
struct GroupDot {
  int64_t dim;
  int lane, lanes;
  LTGNN_HD auto operator()(const T* a, const T* b) const {
    return group_sum(lane_dot<T, V>(a, b, dim, lane, lanes), lanes);
  }
};
struct FirstLaneWrites {
  int lane;
  template <class Acc>
  LTGNN_HD void operator()(Acc* y, Acc value) const {
    if (lane == 0) *y = value;
  }
};

template <class T, class Index, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    edge_dot_kernel(const __grid_constant__ EdgeDotParams params, FaultSink faults, int lanes) {
  using Acc = typename AccumulatorOf<T>::type;
  for_each_row(params.csr.num_rows, lanes, [&](int64_t row, int lane) {
    if (!valid_row(params.csr, row)) return;
    const GroupDot<T, V> dot{params.dim, lane, lanes};
    edge_dot_row<T, Acc, Index>(params, row, dot, FirstLaneWrites{lane});
  });
}

template <class T, class Index, int V>
void start(const EdgeDotParams& params, const Launch& at) {
  const int lanes = lanes_for(params.dim, V);
  launch("edge_dot", edge_dot_kernel<T, Index, V>, blocks_for(params.csr.num_rows, lanes), kThreadsPerBlock,
         0, at.stream, params, at.faults, lanes);
}

}  // namespace

void edge_dot(const EdgeDotParams& params, const Launch& at) {
  const auto stream = static_cast<cudaStream_t>(at.stream);
  if (params.csr.num_edges == 0) return;
  const size_t width = params.type == DType::kFloat64 ? sizeof(double) : sizeof(float);
  // All bits set is a NaN in either type.
  check("edge_dot",
        cudaMemsetAsync(params.out, 0xFF, static_cast<size_t>(params.csr.num_edges) * width, stream));
  if (params.csr.num_rows == 0) return;
  dispatch_storage(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool wide = params.dim % kPackWidth<T> == 0 && packable<T>(params.g, params.g_stride) &&
                      packable<T>(params.x, params.x_stride);
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
