// topk on CUDA. Keys, order and masking are kernels/topk.h, the same text as on the CPU:
//
//   the k best of score(q, n) = <queries_q, items_n> for the n that q has not seen, by (-score, n)
//
// Mapping: a block owns kRows queries (64 in float, 32 in double) and sweeps the items in tiles of 128, each
// thread with 8 x 8 scores in registers (cuda/tile_product.cuh). A score that beats its query's bound joins
// the query's list by an integer atomic: the list's content, not its order, decides. A list that could
// overflow with the next tile is cut down by one warp: bisection in the seen row, a bitonic sort, and the
// k-th best is the new bound. The bound rises quickly: of N items about k log(N / k) reach a list. Few
// queries are given several blocks, each with a part of the items; a second kernel merges their lists in
// order.
//
// Work: 2 dim operations a pair, and dim * sizeof(T) * (1 / 64 + 1 / 128) bytes a pair from the caches: the
// arithmetic is the floor. At d = 64 fp32: 128 operations and 6 bytes; an H100 at 60 T/s of fp32 would take
// 2.6 ms for 29,858 queries x 40,981 items. Memory: a list of at least 256 keys of 8 (double: 16) bytes for
// each query of the resident blocks, in the second-level cache; at most 256 MB for all, or one block's.
// Known limits: from k of about 900 in float, 400 in double, lists are sorted in global memory and cost more
// than the products; items below 2^31.
#include <type_traits>

#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/tile_product.cuh"
#include "cuda/topk_list.cuh"

namespace ltgnn::cuda {
namespace {

constexpr int kWarps = kTileThreads / 32;

// How a launch is laid out, from the sizes alone.
template <class T>
struct Plan {
  using Key = RankKey<T>;
  Key* lists = nullptr;    // [blocks, kRows, capacity]
  Key* partial = nullptr;  // [num_queries, splits, padded]; null where there is one split
  int64_t splits = 1;      // parts of the items, a block each
  int64_t tiles_per_split = 0;
  int64_t num_jobs = 0;  // blocks of queries times splits
  int capacity = 0;      // keys of a list: a power of two
  int kept = 0;
  int padded = 1;     // kept, rounded up to a power of two
  bool work = false;  // lists are sorted in shared memory
};

template <class T>
struct Shared {
  using Shape = TileShape<T>;
  T* tile;
  RankKey<T>* work;  // [kWarps, capacity] or null
  T* bounds;         // [kRows]: the score that a candidate must beat
  int* counts;       // [kRows]: keys in the list; -1 where the query's seen row is malformed
  int* checked;      // [kRows]: how many of them are known not to be seen

  static constexpr size_t kFixedBytes =
      sizeof(T) * (Shape::kElements + Shape::kRows) + 2 * sizeof(int) * Shape::kRows;
  static size_t bytes(const Plan<T>& plan) {
    return kFixedBytes + (plan.work ? sizeof(RankKey<T>) * kWarps * static_cast<size_t>(plan.capacity) : 0);
  }
  __device__ explicit Shared(const Plan<T>& plan) {
    tile = shared_memory<T>();
    bounds = tile + Shape::kElements;
    counts = reinterpret_cast<int*>(bounds + Shape::kRows);
    checked = counts + Shape::kRows;
    static_assert(kFixedBytes % sizeof(RankKey<T>) == 0);
    work = plan.work ? reinterpret_cast<RankKey<T>*>(checked + Shape::kRows) : nullptr;
  }
};

template <class T>
__device__ void cut(const TopkParams& p, const Plan<T>& plan, const Shared<T>& shared, RankKey<T>* lists,
                    int64_t first, int row) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  RankKey<T>* list = lists + int64_t{row} * plan.capacity;
  RankKey<T>* work = shared.work == nullptr ? nullptr : shared.work + warp * plan.capacity;
  const int left =
      cut_list(list, shared.counts[row], shared.checked[row], plan.kept, work, p.seen, first + row);
  if (threadIdx.x % 32u == 0) {
    shared.counts[row] = shared.checked[row] = left;
    if (left == plan.kept && left > 0) shared.bounds[row] = list[plan.kept - 1].score();
  }
  __syncwarp();
}

// Appends what beats its query's bound. Nothing is looked up here: a warp does that for many at once.
template <class T>
__device__ __forceinline__ void append(const Plan<T>& plan, const Shared<T>& shared, RankKey<T>* lists,
                                       int64_t item, int64_t end,
                                       const T (&acc)[TileShape<T>::kThreadRows][TileShape<T>::kThreadCols]) {
  using Shape = TileShape<T>;
#pragma unroll
  for (int i = 0; i < Shape::kThreadRows; ++i) {
    const int row = Shape::row(i);
    const T bound = shared.bounds[row];
    T best = bound;  // NaN is never larger
#pragma unroll
    for (int j = 0; j < Shape::kThreadCols; ++j) best = acc[i][j] > best ? acc[i][j] : best;
    if (!(best > bound)) continue;
    RankKey<T>* list = lists + int64_t{row} * plan.capacity;
#pragma unroll
    for (int j = 0; j < Shape::kThreadCols; ++j) {
      const int64_t id = item + Shape::col(j);
      if (!(acc[i][j] > bound) || id >= end) continue;
      const int slot =
          LTGNN_PLANTED(topk_plain_count) ? shared.counts[row]++ : atomicAdd(shared.counts + row, 1);
      list[slot] = RankKey<T>::of(acc[i][j], id);
    }
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    topk_kernel(const __grid_constant__ TopkParams p, const __grid_constant__ Plan<T> plan,
                FaultSink faults) {
  using Shape = TileShape<T>;
  const Shared<T> shared(plan);
  RankKey<T>* lists = plan.lists + int64_t{blockIdx.x} * Shape::kRows * plan.capacity;
  const auto* queries = static_cast<const T*>(p.queries);
  const auto* items = static_cast<const T*>(p.items);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  if (p.seen.indptr != nullptr && blockIdx.x == 0 && thread == 0) check_ends(faults, p.seen);
  for (int64_t job = blockIdx.x; job < plan.num_jobs; job += gridDim.x) {
    const int64_t first = job / plan.splits * Shape::kRows, split = job % plan.splits;
    __syncthreads();
    if (thread < Shape::kRows) {
      const bool inside = first + thread < p.num_queries;
      const bool usable = inside && (p.seen.indptr == nullptr || valid_row(p.seen, first + thread));
      if (inside && !usable) report_row_pointers(faults, p.seen, first + thread);
      shared.bounds[thread] = usable ? -static_cast<T>(INFINITY) : static_cast<T>(INFINITY);
      shared.counts[thread] = inside && !usable ? -1 : 0;
      shared.checked[thread] = 0;
    }
    __syncthreads();
    const int64_t begin = split * plan.tiles_per_split * Shape::kCols;
    int64_t end =
        begin + plan.tiles_per_split * Shape::kCols - (LTGNN_PLANTED(topk_split_end) ? Shape::kCols : 0);
    if (end > p.num_items) end = p.num_items;
    for (int64_t item = begin; item < end; item += Shape::kCols) {
      T acc[Shape::kThreadRows][Shape::kThreadCols];
      score_tile<T, V>(queries, p.num_queries, first, items, end, item, p.dim, shared.tile, acc);
      append(plan, shared, lists, item, end, acc);
      __syncthreads();
      const int most = LTGNN_PLANTED(topk_capacity) ? plan.capacity : plan.capacity - Shape::kCols;
      for (int row = warp; row < Shape::kRows; row += kWarps)
        if (shared.counts[row] > most) cut(p, plan, shared, lists, first, row);
      __syncthreads();
    }
    for (int row = warp; row < Shape::kRows && first + row < p.num_queries; row += kWarps) {
      const int64_t query = first + row;
      const bool usable = shared.counts[row] >= 0;
      if (usable) cut(p, plan, shared, lists, first, row);
      const int count = usable ? shared.counts[row] : 0;
      const RankKey<T>* list = lists + int64_t{row} * plan.capacity;
      if (plan.partial == nullptr) {
        write_results(p, query, list, count, usable);
      } else {
        RankKey<T>* to = plan.partial + (query * plan.splits + split) * plan.padded;
        for (int i = thread % 32; i < plan.padded; i += 32) to[i] = i < count ? list[i] : RankKey<T>::none();
      }
    }
  }
}

// One warp a query: merges the lists of its parts, in order.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 8)
    topk_merge_kernel(const __grid_constant__ TopkParams p, const __grid_constant__ Plan<T> plan) {
  const int64_t query = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (query >= p.num_queries) return;
  const bool usable = p.seen.indptr == nullptr || valid_row(p.seen, query);
  RankKey<T>* list = plan.partial + query * plan.splits * plan.padded;
  for (int64_t split = 1; split < plan.splits; ++split)
    merge_lists(list, list + split * plan.padded, plan.padded);
  write_results(p, query, list, plan.kept, usable);
}

template <class T, int V>
void start(const TopkParams& p, const Launch& at) {
  using Shape = TileShape<T>;
  using Key = RankKey<T>;
  constexpr int64_t kBlocks = 1024;                 // wanted: a few for each processor of a large card
  constexpr int64_t kMinTiles = 16;                 // of a split
  constexpr size_t kListBytes = size_t{256} << 20;  // of all lists
  constexpr size_t kWorkBytes = size_t{32} << 10;   // of shared memory for sorting
  Plan<T> plan;
  plan.kept = static_cast<int>(p.k < p.num_items ? p.k : p.num_items);
  while (plan.padded < plan.kept) plan.padded *= 2;
  plan.capacity = 2 * Shape::kCols;
  while (plan.capacity < plan.kept + Shape::kCols) plan.capacity *= 2;
  plan.work = kWarps * sizeof(Key) * static_cast<size_t>(plan.capacity) <= kWorkBytes;
  const int64_t groups = (p.num_queries + Shape::kRows - 1) / Shape::kRows;
  const int64_t tiles = (p.num_items + Shape::kCols - 1) / Shape::kCols;
  const int64_t wanted = kBlocks / groups, most = tiles / kMinTiles;
  plan.splits = wanted < most ? wanted : most;
  if (plan.splits < 1) plan.splits = 1;
  plan.tiles_per_split = (tiles + plan.splits - 1) / plan.splits;
  plan.num_jobs = groups * plan.splits;
  const size_t block_bytes = sizeof(Key) * Shape::kRows * static_cast<size_t>(plan.capacity);
  const auto fitting = static_cast<int64_t>(kListBytes / block_bytes);
  int64_t blocks = plan.num_jobs < fitting ? plan.num_jobs : fitting;
  if (blocks < 1) blocks = 1;
  plan.lists = static_cast<Key*>(at.scratch(block_bytes * static_cast<size_t>(blocks)));
  if (plan.splits > 1)
    plan.partial = static_cast<Key*>(
        at.scratch(sizeof(Key) * static_cast<size_t>(p.num_queries * plan.splits * plan.padded)));
  launch("topk", topk_kernel<T, V>, static_cast<unsigned>(blocks), kTileThreads, Shared<T>::bytes(plan),
         at.stream, p, plan, at.faults);
  if (plan.splits > 1)
    launch("topk", topk_merge_kernel<T>, static_cast<unsigned>((p.num_queries + kWarps - 1) / kWarps),
           kTileThreads, 0, at.stream, p, plan);
}

}  // namespace

void topk(const TopkParams& p, const Launch& at) {
  if (p.num_queries == 0) return;
  dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    if (p.dim % kPackWidth<T> == 0 && packable<T>(p.queries, p.dim) && packable<T>(p.items, p.dim))
      start<T, kPackWidth<T>>(p, at);
    else
      start<T, 1>(p, at);
  });
}

}  // namespace ltgnn::cuda
