// Every row pointer and index of a matrix, for libraries that trust what they are given.
//
// Mapping: one thread per row and per edge, grid-stride. Bytes: 8 per row, 4 or 8 per edge, each read once.
// The row of a bad index is searched by the thread that found it.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"

namespace ltgnn::cuda {
namespace {

// The last row that begins at or before `edge`; some row where pointers decrease.
__device__ inline int64_t row_of_edge(const CsrView& csr, int64_t edge) {
  int64_t low = 0, high = csr.num_rows;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (csr.indptr[middle] <= edge ? low : high) = middle;
  }
  return low;
}

template <class Index>
__global__ void __launch_bounds__(kThreadsPerBlock)
    check_csr_kernel(const __grid_constant__ CsrView csr, const __grid_constant__ FaultSink faults) {
  const int64_t first = int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x;
  const int64_t step = int64_t{gridDim.x} * kThreadsPerBlock;
  if (first == 0) check_ends(faults, csr);
  for (int64_t row = first; row < csr.num_rows; row += step)
    if (!valid_row(csr, row)) report_row_pointers(faults, csr, row);
  const auto* indices = static_cast<const Index*>(csr.indices);
  for (int64_t edge = first; edge < csr.num_edges; edge += step) {
    const auto column = static_cast<uint64_t>(static_cast<int64_t>(indices[edge]));
    if (column >= static_cast<uint64_t>(csr.num_cols))
      report_index(faults, csr, edge, row_of_edge(csr, edge));
  }
}

}  // namespace

void check_csr(const CsrView& csr, const Launch& at) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check("check_csr", cudaStreamIsCapturing(static_cast<cudaStream_t>(at.stream), &status));
  if (status != cudaStreamCaptureStatusNone)
    throw std::runtime_error(
        "propagate_cusparse: the first call for a graph checks it and cannot be captured into a CUDA graph; "
        "make one call before");
  const int64_t items = csr.num_rows > csr.num_edges ? csr.num_rows : csr.num_edges;
  dispatch_index(csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    launch("check_csr", check_csr_kernel<Index>, blocks_for(items > 0 ? items : 1, 1), kThreadsPerBlock, 0,
           at.stream, csr, at.faults);
  });
}

}  // namespace ltgnn::cuda
