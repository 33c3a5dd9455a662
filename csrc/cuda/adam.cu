// adam_ on CUDA, dense or on distinct rows. The mathematics of an element is kernels/adam.h:
//
//   g += l2 p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= step_size m / (sqrt(v / bias2) + eps)
//
// Mapping: one group of lanes per row, lanes over columns, 16 bytes a lane; each element is one lane's alone.
// Bytes per element, float32 (tables in bfloat16: half, but for the gradient): 16 read and 12 written, 8 more
// with delta; 8 for the row number per row. Bound by memory: at 3 TB/s 107 G elements/s, 1.7 G rows/s at
// dim 64.
#include "core/dispatch.h"
#include "cuda/adam.cuh"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/sample.cuh"

namespace ltgnn::cuda {
namespace {

template <class E, class M, int V, class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kAdamBlocks)
    adam_kernel(const __grid_constant__ AdamParams p, const AdamScalars<T> scalars, FaultSink faults,
                int lanes) {
  const LaneGroup group(lanes);
  for_each_target(p.num_rows, group, [&](int64_t k) {
    const int64_t row = p.rows ? p.rows[k] : k;
    if (static_cast<uint64_t>(row) >= static_cast<uint64_t>(p.table_rows)) {
      if (group.lane == 0) report_id(faults, IdName::kRows, k, row, p.table_rows);
      return;
    }
    const T* grad = static_cast<const T*>(p.grad) + k * p.dim;
    const T l2 = l2_weight<T>(p, k, row);
    for (int64_t column = int64_t{group.lane} * V; column < p.dim; column += int64_t{lanes} * V)
      adam_columns<E, M, V>(p, scalars, l2, p.rounding, row, column, load_pack<T, V>(grad + column));
  });
}

template <class E, class M, int V, class T>
void start(const AdamParams& p, const Launch& at) {
  const int lanes = lanes_for(p.dim, V);
  launch("adam_", adam_kernel<E, M, V, T>, blocks_for(p.num_rows, lanes), kThreadsPerBlock, 0, at.stream, p,
         AdamScalars<T>(p.constants), at.faults, lanes);
}

}  // namespace

void adam(const AdamParams& p, const Launch& at) {
  dispatch_tables(p.type, p.mixed, [&](auto embeddings, auto moments) {
    using E = typename decltype(embeddings)::type;
    using M = typename decltype(moments)::type;
    using T = typename AccumulatorOf<E>::type;
    if (adam_packable<T>(p))
      start<E, M, kPackWidth<T>, T>(p, at);
    else
      start<E, M, 1, T>(p, at);
  });
}

}  // namespace ltgnn::cuda
