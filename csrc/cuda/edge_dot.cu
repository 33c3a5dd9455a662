// edge_dot on CUDA. The mathematics of an edge is kernels/edge_dot.h, the same text as on the CPU:
//
//   y_e = factor s_r t_c <g_r, x_c>
//
// Mapping: one group of lanes per row, lanes over columns, edges in order, four gathers of 16 bytes in flight
// for each lane; each product is summed over the group by shuffles in a fixed order, and its first lane
// writes. Rows with more than hub_degree() edges are split among groups (cuda/hubs.h), by leading blocks of
// the same launch; no edge depends on another, so there is nothing to add up. Bytes per edge: dim * sizeof(x)
// gathered + one index + one result written twice (it starts as NaN, and stays so where an index or a row
// pointer is out of range); g_r stays in the first-level cache. Floor: at dim 64, float32, int32 indices: 268
// bytes an edge; on an H100, which copies at 3.0 TB/s, 11 G edges/s. Known limits: as propagate's
// (cuda/propagate.cu). Where pointers decrease, rows overlap and two groups may write one edge; the call has
// failed then.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/hubs.cuh"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/warp.cuh"
#include "emu/bugs.h"

namespace ltgnn::cuda {
namespace {

// At most 72 registers a thread: four rows' addresses and products do not fit into 64 (see kHubKernelBlocks).
constexpr int kEdgeDotBlocks = 7;

// What the shared template asks of its caller. Named types: a lambda would be device code only.
template <class T, int V>
struct GroupDot {
  using Acc = typename AccumulatorOf<T>::type;
  static constexpr int kBatch = 4;
  int64_t dim;
  int lane, lanes;
  LTGNN_HD Acc operator()(const T* a, const T* b) const {
    return group_sum(lane_dot<T, V>(a, b, dim, lane, lanes), lanes);
  }
  LTGNN_HD void operator()(const T* a, const T* const (&b)[kBatch], Acc (&products)[kBatch]) const {
    lane_dots<T, V, kBatch>(a, b, products, dim, lane, lanes);
    if (LTGNN_PLANTED(edge_dot_unsummed)) return;
    for (int k = 0; k < kBatch; ++k) products[k] = group_sum(products[k], lanes);
  }
};
struct FirstLaneWrites {
  int lane;
  template <class Acc>
  LTGNN_HD void operator()(Acc* y, Acc value) const {
    if (lane == 0) *y = value;
  }
};

// Blocks [0, hub_blocks) do the pieces of hubs in the chunks of `degree` edges, the others the rows that are
// none.
template <class T, class Index, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kEdgeDotBlocks)
    edge_dot_kernel(const __grid_constant__ EdgeDotParams params, const __grid_constant__ FaultSink faults,
                    int lanes, unsigned hub_blocks, int64_t degree, int64_t chunks) {
  using Acc = typename AccumulatorOf<T>::type;
  const CsrView& csr = params.csr;
  const auto edges = [&](int64_t row, int64_t begin, int64_t end, int lane) {
    const GroupDot<T, V> dot{params.dim, lane, lanes};
    const int64_t bad = edge_dot_edges<T, Acc, Index>(params, row, begin, end, dot, FirstLaneWrites{lane});
    if (bad >= 0 && lane == 0) report_index(faults, csr, bad, row);
  };
  if (blockIdx.x < hub_blocks) {
    for_each_row_of_blocks(chunks, lanes, 0, hub_blocks, [&](int64_t chunk, int lane) {
      for_each_hub_piece(csr, chunk, degree, lane, lanes, [&](int, const HubPiece& piece) {
        if (piece.row >= 0) edges(piece.row, piece.begin, piece.end, lane);
      });
    });
    return;
  }
  if (blockIdx.x == hub_blocks && threadIdx.x == 0) check_ends(faults, csr);
  for_each_row_of_blocks(csr.num_rows, lanes, hub_blocks, gridDim.x - hub_blocks, [&](int64_t row, int lane) {
    if (!valid_row(csr, row)) {
      if (lane == 0) report_row_pointers(faults, csr, row);
    } else if (chunks == 0 || !is_hub(csr, row, degree)) {
      edges(row, csr.indptr[row], csr.indptr[row + 1], lane);
    }
  });
}

template <class T, class Index, int V>
void start(const EdgeDotParams& params, const Launch& at) {
  const int lanes = lanes_for(params.dim, V);
  const int64_t num_rows = params.csr.num_rows;
  const int64_t chunks = num_rows > 0 ? num_chunks(params.csr.num_edges) : 0;
  const unsigned hub_blocks = blocks_for(chunks, lanes);
  // One block at least, to check the ends of indptr.
  const unsigned row_blocks = blocks_for(num_rows > 0 ? num_rows : 1, lanes);
  launch("edge_dot", edge_dot_kernel<T, Index, V>, hub_blocks + row_blocks, kThreadsPerBlock, 0, at.stream,
         params, at.faults, lanes, hub_blocks, hub_degree(params.csr.num_edges), chunks);
}

}  // namespace

void edge_dot(const EdgeDotParams& params, const Launch& at) {
  if (params.csr.num_edges > 0) {
    const size_t width = params.type == DType::kFloat64 ? sizeof(double) : sizeof(float);
    // All bits set is a NaN in either type.
    check("edge_dot", cudaMemsetAsync(params.out, 0xFF, static_cast<size_t>(params.csr.num_edges) * width,
                                      static_cast<cudaStream_t>(at.stream)));
  }
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
