// A whole training step of LTGNN with BPR on CUDA. The mathematics is kernels/ltgnn_bpr_step.h.
//
// Four launches and those of the sort, none of which waits for the host, with sizes that follow from the
// batch size alone; what changes from step to step is on the device. A CUDA graph holds them.
//   1. begin    one thread per triple: its three entries (cuda/bpr.cuh). One thread takes the step's seed and
//               Adam's constants from the counter, and counts: it is the counter's only reader.
//   2. sort     of the 3 B entries by row. The first sorted entry of a row, its head, stands for the row: the
//               row's results are kept at the head's place, and the places of other entries stay unused, so
//               that nobody has to number the distinct rows.
//   3. forward  one group of lanes per sorted entry: where it finds its head (bisection); if it is one, its
//               row's sampled step.
//   4. loss     one group per triple: margin, loss, slope; further blocks: z and delta of the heads, which
//               nobody reads any more.
//   5. update   one group per head: gradient over its run of entries in the order of the triples, gradient
//               memory, Adam; block 0 sums the losses.
// The same bits on every run: no atomics, every sum in a fixed order.
//
// Bytes: kernels/ltgnn_bpr_step.h, and the sort's 48 a triple and pass. At dim 64 fp32, fanout 15, B = 2048
// on an H100: 45 MB at most, 15 us at 3.0 TB/s, less where tables fit the 50 MB second-level cache; the ten
// or so launches of a graph take about as long. Known limits: as cuda/bpr.cu and cuda/ltgnn_step.cu. Three
// groups are started for each triple though heads are fewer.
#include "core/dispatch.h"
#include "cuda/bpr.cuh"
#include "cuda/kernels.h"
#include "cuda/ltgnn_step.cuh"
#include "cuda/sample.cuh"

namespace ltgnn::cuda {
namespace {

constexpr const char* kOp = "ltgnn_bpr_step_";

// What a step needs beside its parameters; all of it scratch memory. Rows of the tables are those of heads.
template <class T>
struct StepMemory {
  BprBatch batch;
  uint32_t* head_of = nullptr;  // [3 batch]: for each entry, the sorted place of its row's head
  T* slopes = nullptr;          // [batch]
  T* out = nullptr;             // [3 batch, dim]
  uint64_t* seed = nullptr;     // [2]: of the sampling, and the step
  AdamScalars<T>* adam = nullptr;
};

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    begin_kernel(const __grid_constant__ LtgnnBprStepParams p, const __grid_constant__ StepMemory<T> memory,
                 FaultSink faults) {
  const int64_t b = int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x;
  if (b == 0) {
    check_ends(faults, p.forward.sample.csr);
    const int64_t done = *p.counter, step = static_cast<int64_t>(static_cast<uint64_t>(done) + 1);
    memory.seed[1] = static_cast<uint64_t>(step);
    *memory.seed = step_seed(p.seed, LTGNN_PLANTED(step_seed_late) ? step : done);
    *memory.adam = AdamScalars<T>(adam_constants(p.lr, p.beta1, p.beta2, p.eps, step));
    *p.counter = step;
  }
  if (b < p.batch) write_entries(memory.batch, b, faults);
}

// The sorted place of the head of the run that `slot` is in.
__device__ inline int64_t find_head(const BprBatch& batch, int64_t slot) {
  const uint32_t key = batch.keys[slot];
  int64_t low = LTGNN_PLANTED(step_first_head) ? 1 : 0, high = slot;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (batch.keys[middle] < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <class E, class M, class Index, int V, class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kSamplingBlocks)
    step_forward_kernel(const __grid_constant__ LtgnnForwardParams p, const FixedPointStep<T> step,
                        const __grid_constant__ StepMemory<T> memory, FaultSink faults, int lanes) {
  const SampleAggregateParams& s = p.sample;
  const BprBatch& batch = memory.batch;
  const uint64_t seed = *memory.seed;
  const LaneGroup group(lanes);
  unsigned char* picks = group_memory<Index>(group, shared_memory<unsigned char>(), s);
  for_each_target(batch.num_entries(), group, [&](int64_t slot) {
    const auto row = int64_t{batch.keys[slot]};
    if (row >= batch.num_rows) return;  // of a bad triple
    const bool head = is_head(batch, slot);
    if (group.lane == 0)
      memory.head_of[batch.entries[slot]] = static_cast<uint32_t>(head ? slot : find_head(batch, slot));
    if (!head) return;
    DrawnRow<Index> drawn;
    const bool good = draw_row(group, s, row, seed, picks, drawn);
    if (!good && group.lane == 0) report_target<Index>(faults, s, slot, row);
    const T outer = good ? sample_factor<T>(s, row, drawn) : T(0);
    for (int64_t column = int64_t{group.lane} * V; column < s.dim; column += int64_t{lanes} * V) {
      if (good) {
        ltgnn_forward_tile<LaneTile<T, V>, E, M>(p, step, slot, row, drawn, drawn.count, outer, column);
        if (LTGNN_PLANTED(step_reads_written) && p.z) remember_columns<M, V>(p, slot, row, column, seed);
        continue;
      }
      const int64_t at = slot * s.dim + column;
      store_nan<T, V>(static_cast<T*>(p.out) + at);
      if (p.z) store_nan<T, V>(static_cast<T*>(p.z_new) + at);
      if (s.second) store_nan<T, V>(static_cast<T*>(s.out_second) + at);
    }
  });
}

// The outputs of an entry's row.
template <class T>
struct OutputRow {
  const StepMemory<T>& memory;
  int64_t dim;
  __device__ const T* operator()(int64_t entry) const {
    return memory.out + int64_t{memory.head_of[entry]} * dim;
  }
};

// Blocks [0, loss_blocks) hold the triples; those behind them, where z is given, the heads.
template <class M, int V, class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    step_loss_kernel(const __grid_constant__ LtgnnForwardParams p,
                     const __grid_constant__ StepMemory<T> memory, unsigned loss_blocks, int lanes) {
  const BprBatch& batch = memory.batch;
  const int64_t dim = p.sample.dim;
  const LaneGroup group(lanes);
  const unsigned place = threadIdx.x >> group.bits;
  if (blockIdx.x >= loss_blocks) {
    const int64_t slot = int64_t{blockIdx.x - loss_blocks} * (kThreadsPerBlock >> group.bits) + place;
    if (slot >= batch.num_entries() || !is_head(batch, slot) || LTGNN_PLANTED(step_reads_written)) return;
    for (int64_t column = int64_t{group.lane} * V; column < dim; column += int64_t{lanes} * V)
      remember_columns<M, V>(p, slot, int64_t{batch.keys[slot]}, column, *memory.seed);
    return;
  }
  const int64_t b = int64_t{blockIdx.x} * (kThreadsPerBlock >> group.bits) + place;
  if (LTGNN_PLANTED(step_idle_return) && b >= batch.batch) return;
  double loss = 0.0;
  if (b < batch.batch) {
    const OutputRow<T> row{memory, dim};
    if (good_triple(batch, b))
      loss = triple_loss<T, V>(row(3 * b + kUser), row(3 * b + kPositive), row(3 * b + kNegative), dim,
                               batch.batch, group.lane, lanes, memory.slopes + b);
    else
      loss = static_cast<double>(NAN);
  }
  const double sum = block_sum(loss, lanes);
  if (threadIdx.x == 0) batch.partial[blockIdx.x] = sum;
}

// Blocks of the update that a processor holds: a root and a quotient of doubles take registers, and so do the
// random bits of embeddings in bfloat16.
template <class E, class T>
constexpr int kUpdateBlocks = sizeof(T) == 8 || sizeof(E) == 2 ? 6 : kAdamBlocks;

// Block 0 sums the losses; the others hold one group for each sorted entry.
template <class E, class M, int V, class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kUpdateBlocks<E, T>)
    step_update_kernel(const __grid_constant__ LtgnnUpdateParams p, const ImplicitGradient<T> implicit,
                       const __grid_constant__ StepMemory<T> memory, T l2_of_one, double* loss,
                       int64_t loss_blocks, int lanes) {
  const BprBatch& batch = memory.batch;
  if (blockIdx.x == 0) {
    write_loss(batch, loss_blocks, loss);
    return;
  }
  const LaneGroup group(lanes);
  const int64_t slot =
      int64_t{blockIdx.x - 1} * (kThreadsPerBlock >> group.bits) + (threadIdx.x >> group.bits);
  if (slot >= batch.num_entries() || !is_head(batch, slot)) return;
  const int64_t end = run_end(batch, slot), row = int64_t{batch.keys[slot]}, dim = p.adam.dim;
  const AdamScalars<T> scalars = *memory.adam;
  const T l2 = static_cast<T>(end - slot) * l2_of_one;
  const OutputRow<T> row_of{memory, dim};
  for (int64_t column = int64_t{group.lane} * V; column < dim; column += int64_t{lanes} * V) {
    LaneTile<T, V> tile;
    tile.zero();
    add_gradient(batch, memory.slopes, slot, end, column, row_of, tile);
    Pack<T, V> gradient;
    for (int i = 0; i < V; ++i) gradient.v[i] = tile.acc[i];
    update_columns<E, M, V>(p, implicit, scalars, l2, memory.seed[1], slot, row, column, gradient);
  }
}

template <class E, class M, class Index, int V, class T>
void start(const LtgnnBprStepParams& p, const Launch& at) {
  const int64_t dim = p.forward.sample.dim;
  const int lanes = lanes_for(dim, V);
  const unsigned triple_blocks = blocks_for(p.batch, lanes), loss_blocks = triple_blocks ? triple_blocks : 1;
  StepMemory<T> memory;
  memory.batch =
      make_batch(kOp, p.users, p.items, p.negatives, p.batch, p.update.adam.table_rows, loss_blocks, at);
  const int64_t entries = memory.batch.num_entries();
  const unsigned entry_blocks = blocks_for(entries, lanes);
  const auto allocate = [&]<class Element>(Element*& place, int64_t count) {
    place = static_cast<Element*>(at.scratch(static_cast<size_t>(count) * sizeof(Element)));
  };
  allocate(memory.head_of, entries);
  allocate(memory.slopes, p.batch);
  allocate(memory.out, entries * dim);
  allocate(memory.seed, 2);
  allocate(memory.adam, 1);
  LtgnnForwardParams forward = p.forward;
  LtgnnUpdateParams update = p.update;
  T *z_new = nullptr, *h = nullptr;
  if (forward.z) allocate(z_new, entries * dim);
  if (forward.sample.second) allocate(h, entries * dim);
  forward.out = memory.out;
  forward.z_new = z_new;
  forward.sample.out_second = h;
  update.h = h;

  launch(kOp, begin_kernel<T>, 1 + blocks_for(p.batch, 1), kThreadsPerBlock, 0, at.stream, p, memory,
         at.faults);
  sort_batch(kOp, memory.batch, at);
  const int sampling = sampling_lanes<Index>(dim, V, forward.sample);
  launch(kOp, step_forward_kernel<E, M, Index, V, T>, blocks_for(entries, sampling), kThreadsPerBlock,
         sampling_shared_bytes<Index>(sampling, forward.sample), at.stream, forward,
         FixedPointStep<T>(forward), memory, at.faults, sampling);
  launch(kOp, step_loss_kernel<M, V, T>, loss_blocks + (forward.z ? entry_blocks : 0), kThreadsPerBlock,
         kLossSharedBytes, at.stream, forward, memory, loss_blocks, lanes);
  launch(kOp, step_update_kernel<E, M, V, T>, 1 + entry_blocks, kThreadsPerBlock, kLossSharedBytes, at.stream,
         update, ImplicitGradient<T>(update), memory, static_cast<T>(l2_of_one(p)), p.loss,
         int64_t{loss_blocks}, lanes);
}

// Every table of p can be read and written as packs; scratch memory always can.
template <class T>
bool step_packable(const LtgnnBprStepParams& p) {
  const int64_t dim = p.forward.sample.dim;
  const void* tables[] = {p.forward.e0,        p.forward.z,     p.forward.delta, p.forward.sample.history_sum,
                          p.update.adam.param, p.update.adam.m, p.update.adam.v, p.update.g_table};
  for (const void* table : tables)
    if (!packable<T>(table, dim)) return false;
  return true;
}

}  // namespace

void ltgnn_bpr_step(const LtgnnBprStepParams& p, const Launch& at) {
  dispatch_tables(p.update.adam.type, p.update.adam.mixed, [&](auto embeddings, auto others) {
    using E = typename decltype(embeddings)::type;
    using M = typename decltype(others)::type;
    using T = typename AccumulatorOf<E>::type;
    constexpr int kWide = kPackWidth<T>;
    const bool wide = step_packable<T>(p);
    dispatch_index(p.forward.sample.csr.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      if (wide)
        start<E, M, Index, kWide, T>(p, at);
      else
        start<E, M, Index, 1, T>(p, at);
    });
  });
}

}  // namespace ltgnn::cuda
