// in_batch_softmax_loss on CUDA (kernels/losses.h). U, V: normalised rows of users and items.
//
//   c = U V',  L = 1/B sum_b ( -c_bb / tau + t log sum_{j != b} exp(c_bj / tau) )
//   dL/dU = P V,  dL/dV = P' U,  P_bj = t / (B tau) exp(c_bj / tau) / sum_b,  P_bb = -1 / (B tau)
//
// The B x B matrix is never held: tiles of it are made in registers (cuda/tile_product.cuh) three times, once
// for the sums of the rows, once for dU and once for dV.
//   normalize  a group of lanes for each side of each pair
//   sums       a block for kRows users and a part of the items: running maximum and sum of each row
//   finish     a thread for each user: parts merged in order, loss, factor of the row
//   gradient   a block for kRows rows of one side and a part of the other: P in shared memory, then P times
//              the other side's rows, 64 columns at a time, added to memory that is this block's alone
//   project    back through the normalisation; parts added in order
//   scatter    entries sorted by row, one group of lanes for each row, in the order of the pairs
// No floating-point atomics: the same bits on every run. Sums of exponentials are held in double.
//
// 10 B^2 dim operations (6 for the products, 4 to make the scores again), B (24 + 16 dim) bytes and more from
// the caches: at B = 2048, dim = 64 fp32 2.7 G operations, 45 us on an H100 at 60 T/s; below that B the
// launches count, 6 and the sort's. Memory: 2 (parts + 1) B dim. Known limits: numbers of rows and entries
// below 2^32; a row in very many pairs is added up by one group.
#include "cuda/in_batch_softmax.cuh"

#include "core/dispatch.h"
#include "cuda/bpr.cuh"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/warp.cuh"

namespace ltgnn::cuda {
namespace {

template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    normalize_kernel(const __grid_constant__ SoftmaxPlan<T> plan, FaultSink faults, int lanes) {
  for_each_row(plan.num_entries(), lanes, [&](int64_t entry, int lane) {
    const int side = static_cast<int>(entry % 2);
    const int64_t b = entry / 2, id = plan.ids[side][b];
    const bool good = static_cast<uint64_t>(id) < static_cast<uint64_t>(plan.num_rows);
    const T* row = plan.x + (good ? id : 0) * plan.dim;
    const T square = good ? group_sum(lane_dot<T, V>(row, row, plan.dim, lane, lanes), lanes) : T(0);
    const T inverse = !good ? static_cast<T>(NAN) : square > 0 ? T(1) / std::sqrt(square) : T(0);
    T* unit = plan.unit[side] + b * plan.dim;
    for (int64_t column = int64_t{lane} * V; column < plan.dim; column += int64_t{lanes} * V) {
      LaneTile<T, V> tile;
      tile.zero();
      if (good) tile.add_scaled(T(1), row + column);
      tile.scale(inverse);
      tile.store(unit + column);
    }
    if (lane != 0) return;
    plan.inverse[side][b] = inverse;
    plan.keys_in[entry] = static_cast<uint32_t>(good ? id : plan.num_rows);
    plan.entries_in[entry] = static_cast<uint32_t>(entry);
    if (!good) report_id(faults, side == kUserSide ? IdName::kUsers : IdName::kItems, b, id, plan.num_rows);
  });
}

template <class T, int V>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    sums_kernel(const __grid_constant__ SoftmaxPlan<T> plan) {
  using Shape = TileShape<T>;
  const Part<T> part(plan);
  const T slope = static_cast<T>(1.0 / plan.tau);
  OnlineSum<T> sums[Shape::kThreadRows];
  for (int64_t item = part.begin; item < part.end; item += Shape::kCols) {
    const uint64_t left_out = left_out_bits(plan, kUserSide, part.first, item);
    T acc[Shape::kThreadRows][Shape::kThreadCols];
    score_tile<T, V>(plan.unit[kUserSide], plan.batch, part.first, plan.unit[kItemSide], part.end, item,
                     plan.dim, shared_memory<T>(), acc);
#pragma unroll
    for (int i = 0; i < Shape::kThreadRows; ++i) {
      const int64_t user = part.first + Shape::row(i);
      T top = T(-2), sum = 0;
      bool counts[Shape::kThreadCols];
#pragma unroll
      for (int j = 0; j < Shape::kThreadCols; ++j) {
        const int64_t other = item + Shape::col(j);
        counts[j] = other < part.end && (other != user || LTGNN_PLANTED(softmax_diagonal)) &&
                    (left_out >> (i * Shape::kThreadCols + j) & 1) == 0;
        if (counts[j]) top = acc[i][j] > top ? acc[i][j] : top;
        if (other == user && other < part.end) plan.positive[user] = acc[i][j];
      }
      sums[i].raise(top, slope);
#pragma unroll
      for (int j = 0; j < Shape::kThreadCols; ++j)
        if (counts[j]) sum += std::exp((acc[i][j] - sums[i].top) * slope);
      sums[i].sum += static_cast<double>(sum);
    }
  }
#pragma unroll
  for (int i = 0; i < Shape::kThreadRows; ++i) {
    for (int step = LTGNN_PLANTED(softmax_merge_lanes) ? kTileX / 4 : kTileX / 2; step > 0; step /= 2) {
      const T other_top = __shfl_xor_sync(0xFFFFFFFFu, sums[i].top, step);
      const double other_sum = __shfl_xor_sync(0xFFFFFFFFu, sums[i].sum, step);
      sums[i].merge(other_top, other_sum, slope);
    }
    const int64_t user = part.first + Shape::row(i);
    if (threadIdx.x % kTileX != 0 || user >= plan.batch) continue;
    plan.part_top[part.split * plan.batch + user] = sums[i].top;
    plan.part_sum[part.split * plan.batch + user] = sums[i].sum;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    finish_kernel(const __grid_constant__ SoftmaxPlan<T> plan) {
  const int64_t b = int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x;
  if (b >= plan.batch) return;
  OnlineSum<T> all;
  for (int64_t split = 0; split < plan.splits; ++split)
    all.merge(plan.part_top[split * plan.batch + b], plan.part_sum[split * plan.batch + b],
              static_cast<T>(1.0 / plan.tau));
  const double sum = all.sum, per_pair = 1.0 / (plan.tau * static_cast<double>(plan.batch));
  // No other item in the batch: nothing to compare with, the denominator is left out. A NaN stays one.
  const double log_sum = sum == 0 ? 0.0 : std::log(sum) + static_cast<double>(all.top) / plan.tau;
  plan.losses[b] = -static_cast<double>(plan.positive[b]) / plan.tau + plan.exponent * log_sum;
  plan.top[b] = all.top;
  plan.factor[b] = sum == 0 ? T(0) : static_cast<T>(plan.exponent * per_pair / sum);
}

template <class T, int V>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? kTileBlocks : kTileBlocks - 1)
    gradient_kernel(const __grid_constant__ SoftmaxPlan<T> plan, int side) {
  using Shape = TileShape<T>;
  const Part<T> part(plan);
  const T *own = plan.unit[side], *opposite = plan.unit[1 - side];
  T* gradient = plan.gradient[side] + part.split * plan.batch * plan.dim;
  T* slice = shared_memory<T>();
  T* weights = slice + Shape::kElements;  // [kCols, kRowPitch]: dL/dc, transposed
  const T slope = static_cast<T>(1.0 / plan.tau);
  const T of_positive = static_cast<T>(-1.0 / (plan.tau * static_cast<double>(plan.batch)));
  for (int64_t other = part.begin; other < part.end; other += Shape::kCols) {
    {
      const uint64_t left_out = left_out_bits(plan, side, part.first, other);
      T acc[Shape::kThreadRows][Shape::kThreadCols];
      score_tile<T, V>(own, plan.batch, part.first, opposite, part.end, other, plan.dim, slice, acc);
#pragma unroll
      for (int i = 0; i < Shape::kThreadRows; ++i) {
        const int64_t row = part.first + Shape::row(i);
#pragma unroll
        for (int j = 0; j < Shape::kThreadCols; ++j) {
          const int64_t col = other + Shape::col(j), user = side == kUserSide ? row : col;
          T weight = 0;
          if (row < plan.batch && col < part.end) {
            if (row == col)
              weight = of_positive;
            else if ((left_out >> (i * Shape::kThreadCols + j) & 1) == 0)
              weight = plan.factor[user] * std::exp((acc[i][j] - plan.top[user]) * slope);
          }
          weights[Shape::col(j) * Shape::kRowPitch + Shape::row(i)] = weight;
        }
      }
    }
    for (int64_t column = 0; column < plan.dim; column += kGradientCols) {
      T acc[Shape::kThreadRows][kGradientThreadCols];
      const auto for_each_result = [&](const auto& body) {
#pragma unroll
        for (int i = 0; i < Shape::kThreadRows; ++i) {
          const int64_t row = part.first + Shape::row(i);
#pragma unroll
          for (int j = 0; j < kGradientThreadCols; ++j) {
            const int64_t c = column + Shape::col(j);
            body(acc[i][j], gradient + row * plan.dim + c, row < plan.batch && c < plan.dim);
          }
        }
      };
      for_each_result(
          [&](T& sum, const T* at, bool inside) { sum = inside && other > part.begin ? *at : T(0); });
      for (int depth = 0; depth < Shape::kCols; depth += Shape::kDepth) {
        if (!LTGNN_PLANTED(softmax_weights_barrier)) __syncthreads();  // the slice before has been used
        load_slice(opposite, part.end, plan.dim, other + depth, column, slice);
        __syncthreads();
        multiply_slices<T, Shape::kDepth>(weights + depth * Shape::kRowPitch, Shape::kRowPitch, slice,
                                          GradientShared<T>::kPitch, acc);
      }
      for_each_result([&](T sum, T* at, bool inside) {
        if (inside) *at = sum;
      });
    }
    __syncthreads();  // the weights have been used
  }
}

// d(x / |x|): g <- (g - unit <unit, g>) / |x|, for each entry, into part 0.
template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor - 2)
    project_kernel(const __grid_constant__ SoftmaxPlan<T> plan, int lanes) {
  for_each_row(plan.num_entries(), lanes, [&](int64_t entry, int lane) {
    const int side = static_cast<int>(entry % 2);
    const int64_t b = entry / 2, size = plan.batch * plan.dim;
    T* g = plan.gradient[side] + b * plan.dim;
    const T* unit = plan.unit[side] + b * plan.dim;
    const auto for_each_column = [&](const auto& body) {
      for (int64_t column = int64_t{lane} * V; column < plan.dim; column += int64_t{lanes} * V) body(column);
    };
    for_each_column([&](int64_t column) {
      LaneTile<T, V> tile;
      tile.zero();
      for (int64_t split = 0; split < plan.splits; ++split) tile.add_scaled(T(1), g + split * size + column);
      tile.store(g + column);
    });
    // Each lane reads back the columns that it wrote.
    const T along = group_sum(lane_dot<T, V>(unit, g, plan.dim, lane, lanes), lanes);
    for_each_column([&](int64_t column) {
      LaneTile<T, V> tile;
      tile.zero();
      tile.add_scaled(T(1), g + column);
      tile.add_scaled(-along, unit + column);
      tile.scale(plan.inverse[side][b]);
      tile.store(g + column);
    });
  });
}

// Block 0 adds up the losses; the others hold one group for each sorted entry.
template <class T, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    scatter_kernel(const __grid_constant__ SoftmaxPlan<T> plan, T* grad, double* loss, int lanes) {
  if (blockIdx.x == 0) {
    double sum = 0.0;
    for (int64_t b = threadIdx.x; b < plan.batch; b += kThreadsPerBlock) sum += plan.losses[b];
    sum = block_sum(sum, 1);
    if (threadIdx.x == 0) *loss = plan.batch > 0 ? sum / static_cast<double>(plan.batch) : 0.0;
    return;
  }
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int64_t slot = (int64_t{blockIdx.x - 1} * kThreadsPerBlock + threadIdx.x) / lanes;
  if (slot >= plan.num_entries()) return;
  const uint32_t row = plan.keys[slot];
  if (row >= plan.num_rows || (slot > 0 && plan.keys[slot - 1] == row)) return;
  int64_t end = slot + 1;
  while (end < plan.num_entries() - (LTGNN_PLANTED(softmax_row_end) ? 1 : 0) && plan.keys[end] == row) ++end;
  for (int64_t column = int64_t{lane} * V; column < plan.dim; column += int64_t{lanes} * V) {
    LaneTile<T, V> tile;
    tile.zero();
    for (int64_t i = slot; i < end; ++i) {
      const uint32_t entry = plan.entries[i];
      tile.add_scaled(T(1), plan.gradient[entry % 2] + int64_t{entry / 2} * plan.dim + column);
    }
    tile.store(grad + int64_t{row} * plan.dim + column);
  }
}

template <class T, int V>
void start(const LossParams& p, const Launch& at) {
  constexpr const char* kWhat = "in_batch_softmax_loss";
  using Shape = TileShape<T>;
  const SoftmaxPlan<T> plan = make_plan<T>(p, at);
  const int lanes = lanes_for(p.dim, V);
  const unsigned entry_blocks = blocks_for(plan.num_entries(), lanes);
  const auto tile_blocks = static_cast<unsigned>(plan.groups * plan.splits);
  T* grad = static_cast<T*>(p.grad);
  const size_t bytes = static_cast<size_t>(p.num_rows) * static_cast<size_t>(p.dim) * sizeof(T);
  if (bytes > 0) check(kWhat, cudaMemsetAsync(grad, 0, bytes, static_cast<cudaStream_t>(at.stream)));
  launch(kWhat, normalize_kernel<T, V>, entry_blocks, kThreadsPerBlock, 0, at.stream, plan, at.faults, lanes);
  sort_pairs(kWhat, plan.keys_in, plan.keys, plan.entries_in, plan.entries, plan.num_entries(),
             key_bits(static_cast<uint64_t>(p.num_rows)), at);
  launch(kWhat, sums_kernel<T, V>, tile_blocks, kTileThreads, sizeof(T) * Shape::kElements, at.stream, plan);
  launch(kWhat, finish_kernel<T>, blocks_for(p.batch, 1), kThreadsPerBlock, 0, at.stream, plan);
  for (const int side : {kUserSide, kItemSide})
    launch(kWhat, gradient_kernel<T, V>, tile_blocks, kTileThreads, GradientShared<T>::kBytes, at.stream,
           plan, side);
  launch(kWhat, project_kernel<T, V>, entry_blocks, kThreadsPerBlock, 0, at.stream, plan, lanes);
  launch(kWhat, scatter_kernel<T, V>, 1 + entry_blocks, kThreadsPerBlock, kLossSharedBytes, at.stream, plan,
         grad, p.loss, lanes);
}

}  // namespace

void in_batch_softmax_loss(const LossParams& p, const Launch& at) {
  dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    if (p.dim % kPackWidth<T> == 0 && packable<T>(p.x, p.dim) && packable<T>(p.grad, p.dim))
      start<T, kPackWidth<T>>(p, at);
    else
      start<T, 1>(p, at);
  });
}

}  // namespace ltgnn::cuda
