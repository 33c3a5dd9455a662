// sample_aggregate and sample_neighbors on CUDA. The mathematics of a target row is
// kernels/sample_aggregate.h, the same text as on the CPU:
//
//   out_r = s_r ( degree_r / S sum_s t_s (x_s - history_s) + [self loops] t_r (x_r - history_r) )
//           + history_sum_r,     and the same sum over `second`
//
// Mapping: one group of lanes per target. It draws the row's neighbours together into shared memory
// (cuda/sample.cuh), then its lanes lie over the columns and walk the neighbours in order, four gathers of 16
// bytes in flight each: the same bits on every run. One launch draws, aggregates x - history and `second`.
//
// Bytes per target at fanout S: S (dim * 4 + 4 + 4) gathered (index and col_scale), once more S * dim * 4 for
// each of history and second, and dim * 4 written. At dim 64, S = 20, without history: 5.5 KB, so that an
// H100's 3.0 TB/s of copies are 540 M targets/s; tables within the 50 MB second-level cache go faster.
//
// Known limits: all S draws of a target are made before its first gather; batches of a few hundred targets do
// not fill the GPU.
#include "core/dispatch.h"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/sample.cuh"

namespace ltgnn::cuda {
namespace {

template <class T, class Index, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kSamplingBlocks)
    sample_aggregate_kernel(const __grid_constant__ SampleAggregateParams p, FaultSink faults, int lanes) {
  using Tile = LaneTile<T, V>;
  if (blockIdx.x == 0 && threadIdx.x == 0) check_ends(faults, p.csr);
  const LaneGroup group(lanes);
  unsigned char* memory = group_memory<Index>(group, shared_memory<unsigned char>(), p);
  for_each_target(p.num_targets, group, [&](int64_t k) {
    const int64_t row = p.rows[k];
    DrawnRow<Index> drawn;
    const bool good = draw_row(group, p, row, p.seed, memory, drawn);
    if (!good && group.lane == 0) report_target<Index>(faults, p, k, row);
    const T outer = good ? sample_factor<T>(p, row, drawn) : T(0);
    for (int64_t column = int64_t{group.lane} * V; column < p.dim; column += int64_t{lanes} * V) {
      T* out = static_cast<T*>(p.out) + k * p.dim + column;
      if (!good) {
        store_nan<T, V>(out);
        if (p.second) store_nan<T, V>(static_cast<T*>(p.out_second) + k * p.dim + column);
        continue;
      }
      Tile tile;
      aggregate_tile<Tile, T>(p, row, drawn, drawn.count, outer, column, tile);
      tile.store(out);
      aggregate_second<Tile, T>(p, k, row, drawn, drawn.count, outer, column);
    }
  });
}

template <class Index>
__global__ void __launch_bounds__(kThreadsPerBlock, kSamplingBlocks)
    sample_neighbors_kernel(const __grid_constant__ SampleNeighborsParams p, FaultSink faults, int lanes) {
  if (blockIdx.x == 0 && threadIdx.x == 0) check_ends(faults, p.csr);
  const LaneGroup group(lanes);
  unsigned char* memory = group_memory<Index>(group, shared_memory<unsigned char>(), p);
  for_each_target(p.num_targets, group, [&](int64_t k) {
    DrawnRow<Index> drawn;
    if (!draw_row(group, p, p.rows[k], p.seed, memory, drawn)) {
      drawn.count = 0;
      if (group.lane == 0) report_target<Index>(faults, p, k, p.rows[k]);
    }
    for (int j = group.lane; j < p.fanout; j += lanes)
      p.out[k * p.fanout + j] = j < drawn.count ? drawn(j) : -1;
  });
}

template <class T, class Index, int V>
void start(const SampleAggregateParams& p, const Launch& at) {
  const int lanes = sampling_lanes<Index>(p.dim, V, p);
  launch("sample_aggregate", sample_aggregate_kernel<T, Index, V>, blocks_for(p.num_targets, lanes),
         kThreadsPerBlock, sampling_shared_bytes<Index>(lanes, p), at.stream, p, at.faults, lanes);
}

}  // namespace

void sample_aggregate(const SampleAggregateParams& p, const Launch& at) {
  dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    constexpr int kWide = kPackWidth<T>;
    const bool wide = aggregate_packable<T>(p);
    dispatch_index(p.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      if (wide)
        start<T, Index, kWide>(p, at);
      else
        start<T, Index, 1>(p, at);
    });
  });
}

void sample_neighbors(const SampleNeighborsParams& p, const Launch& at) {
  dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    const int lanes = sampling_lanes<Index>(p.fanout, 4, p);
    launch("sample_neighbors", sample_neighbors_kernel<Index>, blocks_for(p.num_targets, lanes),
           kThreadsPerBlock, sampling_shared_bytes<Index>(lanes, p), at.stream, p, at.faults, lanes);
  });
}

}  // namespace ltgnn::cuda
