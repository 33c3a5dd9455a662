// Sampling by a group of lanes: the neighbours that kernels/sample.h draws for a row, in the same order, by
// all lanes of the group at once.
//
// Floyd's loop looks sequential: draw k is replaced by `last_k` where its position has been picked before.
// But every draw depends on its number alone, so all are made first; and draw k was picked before if an
// earlier draw is equal to it, or if it is last_i of an earlier draw i that was itself replaced. The group
// settles `lanes` draws a round: equality with the final picks of earlier rounds and with the draws of this
// one by looking, replacement within the round by votes until nothing changes (hardly ever more than one).
//
// By importance every lane draws its own, four to a Philox call, by bisection.
//
// Shared memory: `sample_bytes` for each group, its own; groups of a warp never wait for each other.
#pragma once

#include <cuda_runtime.h>

#include "core/csr.h"
#include "core/philox.h"
#include "cuda/fault.cuh"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "emu/bugs.h"
#include "kernels/sample_aggregate.h"

namespace ltgnn::cuda {

// Blocks of a sampling kernel that a processor holds: at most 64 registers a thread, since a gather of two
// tables keeps eight loads in flight.
constexpr int kSamplingBlocks = 8;

// This thread's place among the `lanes` (a power of two up to 32) that share a row.
struct LaneGroup {
  int lanes, lane;
  unsigned shift;  // the group's first lane in its warp
  unsigned mask;   // its lanes in the warp
  unsigned bits;   // log2(lanes): divisions by `lanes` are shifts

  // bits is set in the body: nvcc hands the initialisers above it to the host compiler, which has no __popc.
  __device__ explicit LaneGroup(int lanes_)
      : lanes(lanes_),
        lane(static_cast<int>(threadIdx.x) & (lanes_ - 1)),
        shift((threadIdx.x % 32u) & ~(static_cast<unsigned>(lanes_) - 1u)),
        mask(LTGNN_PLANTED(sample_whole_warp) ? 0xFFFFFFFFu : (0xFFFFFFFFu >> (32 - lanes_)) << shift) {
    bits = static_cast<unsigned>(__popc(static_cast<unsigned>(lanes_) - 1u));
  }

  __device__ void sync() const { __syncwarp(mask); }
  __device__ bool any(bool vote) const { return __any_sync(mask, vote) != 0; }
  // Bit i: the vote of the group's lane i.
  __device__ unsigned ballot(bool vote) const { return __ballot_sync(mask, vote) >> shift; }
};

// ---- shared memory ----
// A group has 4 bytes for each pick, in whole quads since Philox gives four draws at a time, where indices
// are int64 another 8 for each column (int32 columns take the place of the picks), and by importance 4 more
// for each weight.
LTGNN_HD constexpr int sample_entries(int fanout) { return (fanout + 3) / 4 * 4; }
template <class Index>
LTGNN_HD constexpr size_t picked_bytes(int fanout) {
  return static_cast<size_t>(sample_entries(fanout)) * (sizeof(Index) == 8 ? 12 : 4);
}
// Params here and below: fanout, row_fanout, edge_starts, csr.
template <class Index, class Params>
LTGNN_HD size_t sample_bytes(const Params& p) {
  return picked_bytes<Index>(p.fanout) +
         (p.edge_starts ? static_cast<size_t>(sample_entries(p.fanout)) * 4 : 0);
}

// The lanes of a group that covers `dim` columns, `width` a lane; more where few groups must share a block's
// memory: 16 KB a block leave room for all that the registers allow.
template <class Index, class Params>
int sampling_lanes(int64_t dim, int width, const Params& p) {
  int lanes = lanes_for(dim, width);
  while (lanes < 32 && kThreadsPerBlock / lanes * sample_bytes<Index>(p) > 16 * 1024) lanes *= 2;
  return lanes;
}
template <class Index, class Params>
size_t sampling_shared_bytes(int lanes, const Params& p) {
  return kThreadsPerBlock / lanes * sample_bytes<Index>(p);
}
// This group's part of the memory at `base`.
template <class Index, class Params>
__device__ unsigned char* group_memory(const LaneGroup& group, unsigned char* base, const Params& p) {
  return base + (threadIdx.x >> group.bits) * static_cast<unsigned>(sample_bytes<Index>(p));
}

// Calls body(k) for every target k of this group: grid-stride, so that any number fits any grid.
template <class Body>
__device__ __forceinline__ void for_each_target(int64_t num_targets, const LaneGroup& group,
                                                const Body& body) {
  const int64_t step = int64_t{gridDim.x} * (kThreadsPerBlock >> group.bits);
  int64_t k = int64_t{blockIdx.x} * (kThreadsPerBlock >> group.bits) + (threadIdx.x >> group.bits);
  for (; k < num_targets; k += step) body(k);
}

// ---- drawing ----
// picks[0 .. fanout) as sample_row writes them, for a row with degree > fanout. Lane l has written, and may
// read without waiting, picks l, l + lanes, ...
__device__ inline void draw_positions(const LaneGroup& group, int64_t degree, int fanout, uint64_t seed,
                                      int64_t row, uint32_t* picks) {
  const auto base = static_cast<uint32_t>(degree - fanout);  // last_k is base + k
  for (int quad = group.lane; 4 * quad < fanout; quad += group.lanes) {
    const Philox4 random = philox(seed, static_cast<uint64_t>(row), static_cast<uint64_t>(quad));
    Pack<uint32_t, 4> draws;
    for (int i = 0; i < 4; ++i) {
      const uint64_t bound = uint64_t{base + static_cast<uint32_t>(4 * quad + i)} + 1;
      draws.v[i] = static_cast<uint32_t>((random.v[i] * bound) >> 32);
    }
    *reinterpret_cast<Pack<uint32_t, 4>*>(picks + 4 * quad) = draws;
  }
  if (!LTGNN_PLANTED(sample_draws_unwaited)) group.sync();
  for (int start = 0; start < fanout; start += group.lanes) {
    const int k = start + group.lane;
    const bool mine = k < fanout;
    const uint32_t pick = mine ? picks[k] : 0;
    const int seen = LTGNN_PLANTED(sample_round_blind) ? start : k;
    bool taken = false;
    for (int j = 0; mine && j < seen; j += 4) {
      const auto earlier = *reinterpret_cast<const Pack<uint32_t, 4>*>(picks + j);
      for (int i = 0; i < 4; ++i) taken |= j + i < seen && earlier.v[i] == pick;
    }
    // The draw of this round, before k, that would have been replaced by `pick`; a large number if none.
    const uint32_t other = pick >= base ? pick - base - static_cast<uint32_t>(start) : ~0u;
    const bool chained = mine && other < static_cast<uint32_t>(group.lane);
    unsigned replaced = group.ballot(taken);
    for (unsigned before = 0; before != replaced;) {
      before = replaced;
      if (chained && !LTGNN_PLANTED(sample_chain_cut)) taken |= (replaced >> other & 1u) != 0;
      replaced = group.ballot(taken);
    }
    if (mine && taken) picks[k] = base + static_cast<uint32_t>(k);
    if (!LTGNN_PLANTED(sample_rounds_unwaited)) group.sync();
  }
}

// picks and weights [0 .. fanout) by importance; lanes as in draw_positions.
__device__ inline void draw_weighted(const LaneGroup& group, const int32_t* starts, int64_t degree,
                                     int fanout, uint64_t seed, int64_t row, uint32_t* picks,
                                     float* weights) {
  for (int quad = group.lane; 4 * quad < fanout; quad += group.lanes) {
    const Philox4 random = philox(seed, static_cast<uint64_t>(row), static_cast<uint64_t>(quad));
    for (int i = 0; i < 4; ++i) {
      const int k = 4 * quad + i;
      if (k >= fanout) break;
      const WeightedPick pick =
          weighted_pick(starts, degree,
                        stratified_draw(random.v[i], LTGNN_PLANTED(sample_stratum_late) ? k + 1 : k, fanout));
      picks[k] = pick.position;
      weights[k] = importance_weight(pick.span);
    }
  }
  group.sync();
}

// Every table of p can be read and written as packs.
template <class T>
bool aggregate_packable(const SampleAggregateParams& p) {
  return packable<T>(p.x, p.dim) && packable<T>(p.history, p.dim) && packable<T>(p.history_sum, p.dim) &&
         packable<T>(p.second, p.dim) && packable<T>(p.out, p.dim) && packable<T>(p.out_second, p.dim);
}

// What the columns of a malformed target hold.
template <class T, int V>
LTGNN_HD void store_nan(T* p) {
  LaneTile<T, V> tile;
  for (int i = 0; i < V; ++i) tile.acc[i] = static_cast<T>(NAN);
  tile.store(p);
}

// What a row drew, as kernels/sample_aggregate.h asks for it.
template <class Index>
struct DrawnRow {
  const Index* columns = nullptr;  // [count], shared memory
  const float* weights = nullptr;  // [count], shared memory; where weighted
  bool weighted = false;
  int count = 0;
  int64_t degree = 0;

  LTGNN_HD int64_t operator()(int k) const { return static_cast<int64_t>(columns[k]); }
};

// Reports what is wrong with row `row`, which stands at `position` of the list `name`: the row number, or the
// row's pointers. Damaged ends of indptr damage rows, so they are looked for first: the same message as on
// the CPU, whoever reports. True where nothing of the kind is wrong.
__device__ inline bool report_row(const FaultSink& faults, const CsrView& csr, IdName name, int64_t position,
                                  int64_t row) {
  check_ends(faults, csr);
  if (static_cast<uint64_t>(row) >= static_cast<uint64_t>(csr.num_rows))
    report_id(faults, name, position, row, csr.num_rows);
  else if (!valid_row(csr, row))
    report_row_pointers(faults, csr, row);
  else
    return true;
  return false;
}

// The same for a target whose neighbours could not be drawn: it may also be its fanout, or its first bad
// index.
template <class Index, class Params>
__device__ void report_target(const FaultSink& faults, const Params& p, int64_t position, int64_t row) {
  const CsrView& csr = p.csr;
  if (!report_row(faults, csr, IdName::kRows, position, row)) return;
  if (fanout_of(p, row) < 0) {
    report(faults, FaultKind::kFanout, IdName::kRows, row, p.row_fanout[row], 0, p.fanout);
    return;
  }
  for (int64_t e = csr.indptr[row]; e < csr.indptr[row + 1]; ++e) {
    const auto c = static_cast<int64_t>(static_cast<const Index*>(csr.indices)[e]);
    if (static_cast<uint64_t>(c) < static_cast<uint64_t>(csr.num_cols)) continue;
    report_index(faults, csr, e, row);
    return;
  }
}

// Draws the neighbours of row `row` into the group's memory. False where the row number, the row, its fanout
// or a picked index is malformed: one lane then calls report_target. All lanes of the group call it; the
// memory is theirs to read until they call it again.
template <class Index, class Params>
__device__ bool draw_row(const LaneGroup& group, const Params& p, int64_t row, uint64_t seed,
                         unsigned char* memory, DrawnRow<Index>& drawn) {
  const CsrView& csr = p.csr;
  if (static_cast<uint64_t>(row) >= static_cast<uint64_t>(csr.num_rows) || !valid_row(csr, row)) return false;
  const int fanout = fanout_of(p, row);
  if (fanout < 0) return false;
  const int64_t begin = csr.indptr[row];
  drawn.degree = csr.indptr[row + 1] - begin;
  const bool whole = drawn.degree <= fanout;
  drawn.count = whole ? static_cast<int>(drawn.degree) : fanout;
  auto* picks = reinterpret_cast<uint32_t*>(memory);
  auto* columns = reinterpret_cast<Index*>(
      sizeof(Index) == 8 ? memory + static_cast<size_t>(sample_entries(p.fanout)) * 4 : memory);
  auto* weights = reinterpret_cast<float*>(memory + picked_bytes<Index>(p.fanout));
  drawn.columns = columns;
  drawn.weights = weights;
  drawn.weighted = !whole && p.edge_starts != nullptr;
  group.sync();  // all have read the row before
  if (drawn.weighted)
    draw_weighted(group, p.edge_starts + begin, drawn.degree, fanout, seed, row, picks, weights);
  else if (!whole)
    draw_positions(group, drawn.degree, fanout, seed, row, picks);
  const auto* indices = static_cast<const Index*>(csr.indices) + begin;
  bool bad = false;
  for (int k = group.lane; k < drawn.count; k += group.lanes) {
    const Index column = indices[whole ? static_cast<uint32_t>(k) : picks[k]];
    bad |= static_cast<uint64_t>(static_cast<int64_t>(column)) >= static_cast<uint64_t>(csr.num_cols);
    columns[k] = column;
  }
  group.sync();  // a vote alone does not order memory
  return !group.any(bad);
}

}  // namespace ltgnn::cuda
