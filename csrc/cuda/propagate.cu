// propagate on CUDA. The mathematics of a row is kernels/propagate.h, the same text as on the CPU:
//
//   y_r = (1 - alpha) s_r ( sum_e w_e t_c x_c + [self loops] t_r x_r ) + alpha x0_r
//
// Mapping: one group of lanes per row (a warp for dim >= 128 floats or 256 halves, less for narrower rows,
// then several rows a warp), lanes over columns, edges in order. Each lane gathers 16 bytes at a time, four
// rows in flight. Rows with more than hub_degree() edges are split (cuda/hubs.h): leading blocks of the same
// launch sum the pieces into scratch memory, and a second kernel adds a hub's pieces in their order. Nothing
// is added atomically: the same bits on every run. Without such rows' possibility (num_edges <= hub_degree())
// there is one launch and no scratch memory. No wait for the device anywhere: it can be captured into a CUDA
// graph.
//
// Bytes per edge: dim * sizeof(x) gathered + one index (4 or 8) + 4 each for weight and col_scale if given.
// Per row: dim * sizeof(x) written (and read, with x0) + 8 for its pointer, 8 more with `rows`. Per chunk:
// 16, and of a hub dim sums written and read. Floor: at dim 64, float32, int32 indices: 260 bytes an edge; on
// an H100, which copies at 3.0 TB/s, 11.5 G edges/s; in float16 132 bytes, 22 G edges/s. Tables that fit its
// 50 MB of second-level cache go faster.
//
// Known limits: x rows that are not 16-byte aligned, or dims that are no multiple of 16 bytes, take loads of
// one element. A row just below hub_degree() edges is still walked by one group. Rows are not sorted by
// length, so that the groups of a warp wait for its longest row.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/hubs.cuh"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "emu/bugs.h"

namespace ltgnn::cuda {
namespace {

constexpr unsigned kAddThreads = 256;
constexpr unsigned kAddWarps = kAddThreads / 32;
constexpr int64_t kMaxAddBlocks = 4096;  // what is resident at once on today's GPUs, and more

// Where the pieces of hubs are summed: slots 2 * chunk and 2 * chunk + 1.
struct HubSums {
  int64_t degree = 0, count = 0;  // edges of a chunk; chunks
  unsigned blocks = 0;            // leading blocks that sum them
  int64_t* rows = nullptr;        // [2 * count]: whose sum a slot holds, or -1
  void* sums = nullptr;           // [2 * count, dim], accumulator type
};

template <class T, class Index, int V>
__device__ __forceinline__ void sum_pieces(const PropagateParams& params, const FaultSink& faults, int lanes,
                                           const HubSums& hubs, int64_t chunk, int lane) {
  using Acc = typename AccumulatorOf<T>::type;
  for_each_hub_piece(params.csr, chunk, hubs.degree, lane, lanes, [&](int slot, const HubPiece& piece) {
    const int64_t at = 2 * chunk + slot;
    if (lane == 0) hubs.rows[at] = piece.row;
    if (piece.row < 0) return;
    const int64_t stop = LTGNN_PLANTED(propagate_piece_short) ? piece.end - 1 : piece.end;
    Acc* sums = static_cast<Acc*>(hubs.sums) + at * params.dim;
    const int64_t met = propagate_piece<T, Index, V>(params, piece.begin, stop, sums, lane, lanes);
    if (lane == 0 && met >= 0) report_index(faults, params.csr, met, piece.row);
  });
}

// Blocks [0, hubs.blocks) sum pieces of hubs, the others do the rows that are none.
template <class T, class Index, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kHubKernelBlocks)
    propagate_kernel(const __grid_constant__ PropagateParams params, const __grid_constant__ FaultSink faults,
                     int lanes, const __grid_constant__ HubSums hubs) {
  if (blockIdx.x < hubs.blocks) {
    for_each_row_of_blocks(hubs.count, lanes, 0, hubs.blocks, [&](int64_t chunk, int lane) {
      sum_pieces<T, Index, V>(params, faults, lanes, hubs, chunk, lane);
    });
    return;
  }
  if (blockIdx.x == hubs.blocks && threadIdx.x == 0) check_ends(faults, params.csr);
  const unsigned row_blocks = gridDim.x - hubs.blocks;
  for_each_row_of_blocks(params.csr.num_rows, lanes, hubs.blocks, row_blocks, [&](int64_t row, int lane) {
    const int64_t target = target_row(params, row);
    if (!valid_target(params, target)) {
      if (lane == 0) report_id(faults, IdName::kRows, row, target, params.csr.num_rows);
      return;
    }
    if (hubs.count > 0 && is_hub(params.csr, row, hubs.degree)) return;
    const int64_t met = propagate_lane<T, Index, V>(params, row, target, lane, lanes);
    if (lane != 0 || met == kSound) return;
    if (met == kBadRow)
      report_row_pointers(faults, params.csr, row);
    else
      report_index(faults, params.csr, met, row);
  });
}

// One hub, by a whole block: its groups share the pieces, their sums are added in the order of the groups.
template <class T, int V>
__device__ __forceinline__ void add_pieces(const PropagateParams& params, int lanes, const HubSums& hubs,
                                           int64_t row, typename AccumulatorOf<T>::type* shared) {
  using Tile = LaneTile<T, V>;
  using Acc = typename Tile::Acc;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int group = static_cast<int>(threadIdx.x) / lanes, groups = static_cast<int>(kAddThreads) / lanes;
  const int64_t begin = params.csr.indptr[row], end = params.csr.indptr[row + 1];
  const int64_t last_chunk = (end - 1) / hubs.degree;
  for (int64_t base = 0; base < params.dim; base += int64_t{lanes} * V) {
    const int64_t column = base + int64_t{lane} * V;
    Tile tile;
    tile.zero();
    if (column < params.dim) {
      bool good = true;
#pragma unroll 4
      for (int64_t chunk = begin / hubs.degree + group; chunk <= last_chunk; chunk += groups) {
        const int64_t at =
            2 * chunk + hub_slot(begin, LTGNN_PLANTED(propagate_slot_border) ? chunk * hubs.degree - 1
                                                                             : chunk * hubs.degree);
        good = (hubs.rows[at] == row) & good;  // not so where pointers decrease: nobody summed this row
        tile.add_sums(static_cast<const Acc*>(hubs.sums) + at * params.dim + column);
      }
      if (!good) tile.spoil();
    }
    tile.store_sums(shared + threadIdx.x * V);
    if (!LTGNN_PLANTED(propagate_add_barrier)) __syncthreads();
    if (group == 0 && column < params.dim) {
      for (int other = 1; other < groups; ++other) tile.add_sums(shared + (other * lanes + lane) * V);
      finish_row<Tile, T, Acc>(params, target_row(params, row), column, tile);
    }
    __syncthreads();
  }
}

// Every block looks through kAddThreads rows for hubs.
template <class T, int V>
__global__ void __launch_bounds__(kAddThreads, 3)
    add_pieces_kernel(const __grid_constant__ PropagateParams params, int lanes,
                      const __grid_constant__ HubSums hubs) {
  using Acc = typename AccumulatorOf<T>::type;
  Acc* sums = shared_memory<Acc>();
  auto* votes = reinterpret_cast<unsigned*>(sums + kAddThreads * V);  // [kAddWarps]
  const int64_t step = int64_t{gridDim.x} * kAddThreads;
  for (int64_t first = int64_t{blockIdx.x} * kAddThreads; first < params.csr.num_rows; first += step) {
    const int64_t row = first + threadIdx.x;
    const bool hub = row < params.csr.num_rows && is_hub(params.csr, row, hubs.degree) &&
                     valid_target(params, target_row(params, row));  // or reported by the other kernel
    const unsigned vote = __ballot_sync(0xFFFFFFFFu, hub);
    if (threadIdx.x % 32 == 0) votes[threadIdx.x / 32] = vote;
    __syncthreads();
    for (unsigned warp = 0; warp < kAddWarps; ++warp)
      for (unsigned left = votes[warp]; left != 0; left &= left - 1)
        add_pieces<T, V>(params, lanes, hubs, first + warp * 32 + __ffs(static_cast<int>(left)) - 1, sums);
    __syncthreads();
  }
}

template <class T, class Index, int V>
void start(const PropagateParams& params, const Launch& at) {
  using Acc = typename AccumulatorOf<T>::type;
  const int lanes = lanes_for(params.dim, V);
  const int64_t num_rows = params.csr.num_rows;
  HubSums hubs;
  hubs.count = params.dim > 0 && num_rows > 0 ? num_chunks(params.csr.num_edges) : 0;
  if (hubs.count > 0) {
    hubs.degree = hub_degree(params.csr.num_edges);
    hubs.blocks = blocks_for(hubs.count, lanes);
    const auto slots = static_cast<size_t>(2 * hubs.count);
    hubs.rows = static_cast<int64_t*>(at.scratch(slots * sizeof(int64_t)));
    hubs.sums = at.scratch(slots * static_cast<size_t>(params.dim) * sizeof(Acc));
  }
  // One block at least, to check the ends of indptr.
  const unsigned row_blocks = blocks_for(num_rows > 0 ? num_rows : 1, lanes);
  launch("propagate", propagate_kernel<T, Index, V>, hubs.blocks + row_blocks, kThreadsPerBlock, 0, at.stream,
         params, at.faults, lanes, hubs);
  if (hubs.count == 0) return;
  const size_t shared = kAddThreads * V * sizeof(Acc) + kAddWarps * sizeof(unsigned);
  const int64_t row_sets = (num_rows + kAddThreads - 1) / kAddThreads;
  const auto blocks = static_cast<unsigned>(row_sets < kMaxAddBlocks ? row_sets : kMaxAddBlocks);
  launch("propagate", add_pieces_kernel<T, V>, blocks, kAddThreads, shared, at.stream, params, lanes, hubs);
}

}  // namespace

void propagate(const PropagateParams& params, const Launch& at) {
  dispatch_storage(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool wide = params.dim % kPackWidth<T> == 0 && packable<T>(params.x, params.x_stride) &&
                      packable<T>(params.x0, params.x0_stride) && packable<T>(params.out, params.out_stride);
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
