// bpr_loss on CUDA. The mathematics of a triple is kernels/losses.h, the same text as on the CPU:
//
//   L = 1/B sum_b softplus(-margin_b),   margin_b = <x_u, x_p> - <x_u, x_n>
//   dL/dx_u += s_b (x_n - x_p),   dL/dx_p -= s_b x_u,   dL/dx_n += s_b x_u,   s_b = sigmoid(-margin_b) / B
//
// Mapping: one group of lanes per triple for margins, losses and slopes; a stable sort of the 3 B row
// numbers; then one group per row that occurs, which walks its entries in the order of the triples. No
// atomics: the same bits on every run. Losses are summed as a tree, in double: by block, then by one block of
// the second kernel. Bytes per triple: 3 dim * sizeof(x) read for the margin, 4 dim * sizeof(x) for the
// gradients (once more from the cache if rows repeat), 24 for the ids, 48 for each pass of the sort, and the
// gradient [num_rows, dim] written twice. At dim 64 fp32 about 2.4 KB; but a batch of 2048 is 5 MB, 2 us on
// an H100: what counts there is the number of launches, 3 and the sort's. Known limits: a row in very many
// triples is walked by one group; numbers of rows and entries below 2^32.
#include "core/dispatch.h"
#include "cuda/bpr.cuh"
#include "cuda/kernels.h"

namespace ltgnn::cuda {
namespace {

template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    bpr_triples_kernel(const T* x, int64_t dim, const __grid_constant__ BprBatch batch, T* slopes,
                       FaultSink faults, int lanes) {
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int64_t b = (int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x) / lanes;
  double loss = 0.0;
  if (b < batch.batch) {
    if (lane == 0) write_entries(batch, b, faults);
    if (good_triple(batch, b)) {
      const auto row = [&](Role role) { return x + batch.ids[role][b] * dim; };
      loss = triple_loss<T, V>(row(kUser), row(kPositive), row(kNegative), dim, batch.batch, lane, lanes,
                               slopes + b);
    } else {
      loss = static_cast<double>(NAN);
    }
  }
  const double sum = block_sum(loss, lanes);
  if (threadIdx.x == 0) batch.partial[blockIdx.x] = sum;
}

// The row of x that an entry names.
template <class T>
struct TableRow {
  const BprBatch& batch;
  const T* x;
  int64_t dim;
  __device__ const T* operator()(int64_t entry) const {
    const int64_t b = entry / 3;
    return x + batch.ids[entry - 3 * b][b] * dim;
  }
};

// Block 0 sums the losses; the others hold one group for each sorted entry.
template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    bpr_gradient_kernel(const T* x, int64_t dim, const __grid_constant__ BprBatch batch, const T* slopes,
                        T* grad, double* loss, int64_t num_partial, int lanes) {
  if (blockIdx.x == 0) {
    write_loss(batch, num_partial, loss);
    return;
  }
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int64_t slot = (int64_t{blockIdx.x - 1} * kThreadsPerBlock + threadIdx.x) / lanes;
  if (slot >= batch.num_entries() || !is_head(batch, slot)) return;
  const int64_t end = run_end(batch, slot), row = int64_t{batch.keys[slot]};
  const TableRow<T> row_of{batch, x, dim};
  for (int64_t column = int64_t{lane} * V; column < dim; column += int64_t{lanes} * V) {
    LaneTile<T, V> tile;
    tile.zero();
    add_gradient(batch, slopes, slot, end, column, row_of, tile);
    tile.store(grad + row * dim + column);
  }
}

template <class T, int V>
void start(const LossParams& p, const Launch& at) {
  const int lanes = lanes_for(p.dim, V);
  const unsigned triple_blocks = blocks_for(p.batch, lanes);
  const BprBatch batch =
      make_batch(at.faults.op, p.users, p.items, p.negatives, p.batch, p.num_rows, triple_blocks, at);
  T* slopes = static_cast<T*>(at.scratch(static_cast<size_t>(p.batch) * sizeof(T)));
  const T* x = static_cast<const T*>(p.x);
  T* grad = static_cast<T*>(p.grad);
  const size_t bytes = static_cast<size_t>(p.num_rows) * static_cast<size_t>(p.dim) * sizeof(T);
  if (bytes > 0) check("bpr_loss", cudaMemsetAsync(grad, 0, bytes, static_cast<cudaStream_t>(at.stream)));
  launch("bpr_loss", bpr_triples_kernel<T, V>, triple_blocks, kThreadsPerBlock, kLossSharedBytes, at.stream,
         x, p.dim, batch, slopes, at.faults, lanes);
  sort_batch("bpr_loss", batch, at);
  launch("bpr_loss", bpr_gradient_kernel<T, V>, 1 + blocks_for(batch.num_entries(), lanes), kThreadsPerBlock,
         kLossSharedBytes, at.stream, x, p.dim, batch, slopes, grad, p.loss, int64_t{triple_blocks}, lanes);
}

}  // namespace

void bpr_loss(const LossParams& p, const Launch& at) {
  dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    if (p.dim % kPackWidth<T> == 0 && packable<T>(p.x, p.dim) && packable<T>(p.grad, p.dim))
      start<T, kPackWidth<T>>(p, at);
    else
      start<T, 1>(p, at);
  });
}

}  // namespace ltgnn::cuda
