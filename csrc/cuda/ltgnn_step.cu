// The two halves of an LTGNN training step on CUDA. The mathematics is kernels/ltgnn_step.h, the same text as
// on the CPU.
//
// Forward: one group of lanes per target draws its neighbours (cuda/sample.cuh), gathers delta and the
// gradient memory over them and writes out, h and z_new. A second launch then writes z and delta: every row
// has been read by then, and no row reads what another writes.
//
// Update: one group per target; gradient, gradient memory and Adam in registers, in one pass over its row.
//
// Bytes per target, float32: forward S (dim * 4 + 8) gathered, S dim * 4 more with g; 8 dim read (e0 and
// history_sum), 4 dim written for each of out, h and z_new; 20 dim for the memory. Update: 8 dim read (grad,
// h), 24 dim for Adam, 4 dim written for g. At dim 64 and S = 5 with g and z: 5.2 KB and 2.3 KB. At an H100's
// 3.0 TB/s of copies that is 400 M targets/s: the floor of a batch of 20,000 targets is 50 microseconds, and
// three launches come on top.
//
// Known limits: repeated rows race (the caller's duty, as on the CPU). A target that is malformed leaves NaN
// in z and delta, where its row number is good.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/ltgnn_step.cuh"
#include "cuda/sample.cuh"

namespace ltgnn::cuda {
namespace {

template <class E, class M, class Index, int V, class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kSamplingBlocks)
    forward_kernel(const __grid_constant__ LtgnnForwardParams p, const FixedPointStep<T> step,
                   FaultSink faults, int lanes) {
  const SampleAggregateParams& s = p.sample;
  if (blockIdx.x == 0 && threadIdx.x == 0) check_ends(faults, s.csr);
  const LaneGroup group(lanes);
  unsigned char* memory = group_memory<Index>(group, shared_memory<unsigned char>(), s);
  for_each_target(s.num_targets, group, [&](int64_t k) {
    const int64_t row = s.rows[k];
    DrawnRow<Index> drawn;
    const bool good = draw_row(group, s, row, s.seed, memory, drawn);
    if (!good && group.lane == 0) report_target<Index>(faults, s, k, row);
    const T outer = good ? sample_factor<T>(s, row, drawn) : T(0);
    for (int64_t column = int64_t{group.lane} * V; column < s.dim; column += int64_t{lanes} * V) {
      if (good) {
        ltgnn_forward_tile<LaneTile<T, V>, E, M>(p, step, k, row, drawn, drawn.count, outer, column);
        if (LTGNN_PLANTED(step_memory_early) && p.z) remember_columns<M, V>(p, k, row, column, s.seed);
        continue;
      }
      const int64_t at = k * s.dim + column;
      store_nan<T, V>(static_cast<T*>(p.out) + at);
      if (p.z) store_nan<T, V>(static_cast<T*>(p.z_new) + at);
      if (s.second) store_nan<T, V>(static_cast<T*>(s.out_second) + at);
    }
  });
}

template <class M, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    remember_kernel(const __grid_constant__ LtgnnForwardParams p, int lanes) {
  const LaneGroup group(lanes);
  for_each_target(p.sample.num_targets, group, [&](int64_t k) {
    const int64_t row = p.sample.rows[k], dim = p.sample.dim;
    if (static_cast<uint64_t>(row) >= static_cast<uint64_t>(p.sample.csr.num_rows)) return;
    for (int64_t column = int64_t{group.lane} * V; column < dim; column += int64_t{lanes} * V)
      remember_columns<M, V>(p, k, row, column, p.sample.seed);
  });
}

template <class E, class M, int V, class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kAdamBlocks)
    update_kernel(const __grid_constant__ LtgnnUpdateParams p, const ImplicitGradient<T> implicit,
                  const AdamScalars<T> scalars, FaultSink faults, int lanes) {
  const LaneGroup group(lanes);
  for_each_target(p.adam.num_rows, group, [&](int64_t k) {
    const int64_t row = p.adam.rows[k], dim = p.adam.dim;
    if (static_cast<uint64_t>(row) >= static_cast<uint64_t>(p.adam.table_rows)) {
      if (group.lane == 0) report_id(faults, IdName::kRows, k, row, p.adam.table_rows);
      return;
    }
    const T l2 = l2_weight<T>(p.adam, k, row);
    for (int64_t column = int64_t{group.lane} * V; column < dim; column += int64_t{lanes} * V) {
      const auto gradient = load_pack<T, V>(static_cast<const T*>(p.adam.grad) + k * dim + column);
      update_columns<E, M, V>(p, implicit, scalars, l2, p.adam.rounding, k, row, column, gradient);
    }
  });
}

template <class E, class M, class Index, int V, class T>
void start_forward(const LtgnnForwardParams& p, const Launch& at) {
  const int lanes = sampling_lanes<Index>(p.sample.dim, V, p.sample);
  launch("ltgnn_forward_", forward_kernel<E, M, Index, V, T>, blocks_for(p.sample.num_targets, lanes),
         kThreadsPerBlock, sampling_shared_bytes<Index>(lanes, p.sample), at.stream, p, FixedPointStep<T>(p),
         at.faults, lanes);
  if (!p.z || LTGNN_PLANTED(step_memory_early)) return;
  const int columns = lanes_for(p.sample.dim, V);
  launch("ltgnn_forward_", remember_kernel<M, V>, blocks_for(p.sample.num_targets, columns), kThreadsPerBlock,
         0, at.stream, p, columns);
}

template <class E, class M, int V, class T>
void start_update(const LtgnnUpdateParams& p, const Launch& at) {
  const int lanes = lanes_for(p.adam.dim, V);
  launch("ltgnn_update_", update_kernel<E, M, V, T>, blocks_for(p.adam.num_rows, lanes), kThreadsPerBlock, 0,
         at.stream, p, ImplicitGradient<T>(p), AdamScalars<T>(p.adam.constants), at.faults, lanes);
}

template <class T>
bool forward_packable(const LtgnnForwardParams& p) {
  const int64_t dim = p.sample.dim;
  const void* tables[] = {p.sample.x,
                          p.sample.history,
                          p.sample.history_sum,
                          p.sample.second,
                          p.sample.out_second,
                          p.e0,
                          p.z,
                          p.delta,
                          p.z_new,
                          p.out};
  for (const void* table : tables)
    if (!packable<T>(table, dim)) return false;
  return true;
}

}  // namespace

void ltgnn_forward(const LtgnnForwardParams& p, const Launch& at) {
  dispatch_tables(p.sample.type, p.mixed, [&](auto embeddings, auto others) {
    using E = typename decltype(embeddings)::type;
    using M = typename decltype(others)::type;
    using T = typename AccumulatorOf<E>::type;
    constexpr int kWide = kPackWidth<T>;
    const bool wide = forward_packable<T>(p);
    dispatch_index(p.sample.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      if (wide)
        start_forward<E, M, Index, kWide, T>(p, at);
      else
        start_forward<E, M, Index, 1, T>(p, at);
    });
  });
}

void ltgnn_update(const LtgnnUpdateParams& p, const Launch& at) {
  dispatch_tables(p.adam.type, p.adam.mixed, [&](auto embeddings, auto others) {
    using E = typename decltype(embeddings)::type;
    using M = typename decltype(others)::type;
    using T = typename AccumulatorOf<E>::type;
    if (adam_packable<T>(p.adam) && packable<T>(p.h, p.adam.dim) && packable<T>(p.g_table, p.adam.dim))
      start_update<E, M, kPackWidth<T>, T>(p, at);
    else
      start_update<E, M, 1, T>(p, at);
  });
}

}  // namespace ltgnn::cuda
